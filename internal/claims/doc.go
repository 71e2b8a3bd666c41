// Package claims contains only tests. They check that README.md and docs/CLAIMS.md
// contain the same claims, that the proof of each claim exists, and that the figures
// in README.md equal the figures in generated pages.
package claims
