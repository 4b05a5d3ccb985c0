package setup

import (
	"encoding/json"
	"strings"
)

// snippets are two texts to copy, with the real values: the environment of an
// application, and a sign-in with the library openid-client.
func snippets(issuer, client, secret, redirect string) (environment, node string) {
	var e strings.Builder
	line := func(name, value string) {
		if value != "" {
			e.WriteString(name + "=" + value + "\n")
		}
	}
	line("OIDC_ISSUER", issuer)
	line("OIDC_CLIENT_ID", client)
	line("OIDC_CLIENT_SECRET", secret)
	line("OIDC_REDIRECT_URI", redirect)
	auth := ""
	if secret == "" {
		auth = ", undefined, oidc.None()"
	} else {
		auth = ", " + quote(secret)
	}
	return e.String(), `import * as oidc from 'openid-client'

const config = await oidc.discovery(new URL(` + quote(issuer) + `), ` + quote(client) + auth + `)

// 1. Send the browser there; keep verifier and state in its session.
const verifier = oidc.randomPKCECodeVerifier()
const state = oidc.randomState()
const there = oidc.buildAuthorizationUrl(config, {
  redirect_uri: ` + quote(redirect) + `,
  scope: 'openid profile email',
  code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
  state,
})

// 2. When it comes back to the redirect URI:
const tokens = await oidc.authorizationCodeGrant(config, currentUrl, {
  pkceCodeVerifier: verifier,
  expectedState: state,
})
console.log(tokens.claims())
`
}

// quote writes text as a JavaScript string: JSON is one, and escapes < as well.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""` // text always marshals
	}
	return string(b)
}
