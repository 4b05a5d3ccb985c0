package access

import "time"

// The security defaults of decisions.
const (
	StepUpAge = 10 * time.Minute // a proof of the authenticators older than this is not fresh

	pollEvery   = 250 * time.Millisecond // between polls of the revisions
	staleAfter  = time.Second            // a node whose last good poll began earlier uses no snapshot
	pollWindow  = 2 * time.Minute        // a revision is polled for this long after its transaction began
	unsettled   = 40 * time.Second       // a bump of ours older than this has committed or never will
	idleAfter   = 10 * time.Minute       // a snapshot that nobody asked about is dropped
	reloadShare = 10                     // reloading one organization takes at most one part in ten of the time
)
