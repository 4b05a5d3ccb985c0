// Package register is the register of statements: which sentence of the
// catalogue stands on the trust page, with which values, backed by what, and
// with which verdict just now.
//
// It owns
//   - what the operator decides: the profile in use, values in force, rows
//     that apply or are set aside (register_settings);
//   - attested records: a named person states it, a second one has reviewed
//     it, an evidence file stands behind it, for a time (register_attestations,
//     register_chunks). They lapse by themselves, after reminders;
//   - the verdict of each statement as last seen and the public change log
//     (register_verdicts, register_changes).
//
// Resolve gives every statement from the last results of its controls and its
// attestation. It never runs a control: package trust does, on its own time.
//
// The sentences themselves and the pure decisions are package catalogue's;
// what people see of all this is package face's.
package register
