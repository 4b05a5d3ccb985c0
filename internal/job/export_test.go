package job

// TakeLease is the lease alone, without the work.
var TakeLease = (*Runner).lease
