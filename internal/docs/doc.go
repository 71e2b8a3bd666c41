// Package docs has only tests: they check the links of the documentation.
package docs
