// Package claims has only tests: they compare README.md with docs/CLAIMS.md, which
// names the proof of each claim, and with the figures of the generated pages.
package claims
