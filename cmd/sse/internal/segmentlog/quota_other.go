//go:build !unix

package segmentlog

func isQuota(error) bool { return false }
