// Command bench measures the product against the limits of the machine it runs
// on, and prints one Markdown table.
//
// A rate means little without the machine it was taken on. So each one is given
// as a ratio to an anchor: a handler of net/http that does only what no server
// can leave out (answer fixed bytes, sign one token, hash one password, commit
// one batch of rows). Anchor and product take turns, round after round, with
// the same client and the same number of workers, and the median of the rounds
// is what counts: a neighbor that takes half of the machine takes it from both.
// Beside each rate stands the processor time of the server a request, which
// neighbors change least.
//
// The product is a real process, `rempart demo`, on a real folder. The command
// reads /proc and needs Linux. It imports nothing of the product: what it
// measures is what is built. Run it by `make bench`; docs/benchmarks.md says
// how to read the table.
package main
