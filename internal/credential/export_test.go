package credential

// Doors for the tests.
var (
	ParsePHC     = func(s string) (string, error) { v, err := parsePHC(s); return v.String(), err }
	HOTP         = hotp
	MatchTOTP    = matchTOTP
	CleanCode    = cleanCode
	RecoveryHash = recoveryHash
	NewCode      = newRecoveryCode
	CleanName    = cleanName
	Blocklist    = blocklist
	DrawQR       = drawQR
	KeyURI       = keyURI
)

// ArgonOf computes the tag of a PHC string's parameters for a password.
func ArgonOf(phc, password string) (bool, error) {
	v, err := parsePHC(phc)
	if err != nil {
		return false, err
	}
	tag, err := v.compute(password)
	return string(tag) == string(v.tag), err
}
