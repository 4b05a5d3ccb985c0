// Package archtest holds the shape of the house as tests: which package may
// import which, how large a file and a package may grow, that each package
// says what it is. It has no code of its own.
package archtest
