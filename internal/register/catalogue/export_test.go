package catalogue

import (
	"io/fs"
	"testing/fstest"
)

// LoadFrom and LoadProfilesFrom load from other files than those compiled in.
var (
	LoadFrom         = load
	LoadProfilesFrom = loadProfiles
)

// Embedded returns a changeable copy of the files of a folder.
func Embedded(folder string) fstest.MapFS {
	copied := fstest.MapFS{}
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		raw, err := fs.ReadFile(files, folder+"/"+e.Name())
		if err != nil {
			panic(err)
		}
		copied[e.Name()] = &fstest.MapFile{Data: raw}
	}
	return copied
}
