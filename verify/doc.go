// Package verify checks, offline and from nothing but a file, what a Rempart
// log says: proofs of entries, whole exports, checkpoints, the consistency of
// two checkpoints, openings of the epoch tree, and signed statements. It needs
// no server, no database and no key but the log's public one.
//
// [File] recognizes what it is given and returns a [Report]; the command
// `rempart verify FILE` prints that report and ends with status 1 unless all
// of it holds.
//
//	report, err := verify.File(f, verify.Options{VerifierKeys: keys})
//	if err != nil {
//		return err // not readable, or not a file of ours
//	}
//	report.Write(os.Stdout)
//	if !report.OK { ... }
//
// Pass the verifier keys that you have from elsewhere: the recovery kit, an
// owner's mailbox, a witness. With none, the keys in the file itself are used;
// then the report says that the file agrees with itself, and not who wrote it.
//
// The package also writes these files ([NewExporter], [EntryProof],
// [ConsistencyProof], [EpochProof], [SignEnvelope]), so that the format has
// one home. docs/audit-log.md describes it for those who write a verifier of
// their own.
//
// Input is hostile until verified: every line is bounded, memory does not grow
// with the file, unknown or repeated JSON members are refused, and nothing
// from a file is printed unquoted.
package verify
