// Command rempart is the whole product in one binary: see README.md.
package main

func main() {}
