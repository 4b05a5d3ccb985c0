// Package app puts everything together: it opens the stores, fills every
// service's fields and function fields, lists the manifests, and runs the
// listeners and jobs. It is the only package that knows all capabilities, and
// holds the controls that cross them.
//
// It has no rules of its own: what a capability decides is in its folder.
package app
