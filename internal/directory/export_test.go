package directory

// SetOpenList makes the list of an organization with more members than n a
// large one, until the returned function is called.
func SetOpenList(n int64) (undo func()) {
	before := openList
	openList = n
	return func() { openList = before }
}
