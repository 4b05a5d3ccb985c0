// Package catalogue is the register of statements as data: every sentence that
// a security page of ours may carry, and the pure decisions about them.
//
// It owns
//   - the catalogue (Load): 192 statements in en, fr and nl with their
//     parameters, kind, population, proposed controls and the strongest class
//     of evidence they can have, and the index from each of the 275 source
//     sentences to its statement;
//   - the profiles (LoadProfiles): three published security pages, sentence by
//     sentence in their own order, with the settings and facts they imply;
//   - the linter (Lint), which refuses sentences that nobody can check;
//   - the verdict of a statement (Resolve), from the results of its controls
//     and its attestation.
//
// It stores nothing, runs no control and shows no page: packages register and
// trust do. The files of the catalogue are compiled in and validated as a whole
// by Load; a mistake in them is an error at start, never a sentence that is
// missing later.
//
//	c, err := catalogue.Load()
//	s, ok := c.Find("I7")
//	text, err := s.Text("fr", catalogue.Params{"length": catalogue.V("12")})
//	verdict, class := catalogue.Resolve(s, results, attestation, now)
package catalogue
