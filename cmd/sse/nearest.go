package main

import "strings"

// findNearest returns the name that word most likely misspells or abbreviates.
// If no name is similar, it returns "".
func findNearest(word string, names []string) string {
	word = strings.ToLower(word)
	best, bestDistance := "", 1+max(1, len(word)/3)
	for _, name := range names {
		if d := editDistance(word, name); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	if best != "" || len(word) < 3 {
		return best
	}
	// Word may be the beginning of a name, or its end after a hyphen: for example,
	// max or retry for max-retry.
	for _, name := range names {
		if strings.HasPrefix(name, word) || strings.HasSuffix(name, "-"+word) {
			return name
		}
	}
	return ""
}

// editDistance returns the smallest number of edits that turn a into b. An edit inserts,
// deletes or replaces one byte, or swaps two adjacent bytes.
func editDistance(a, b string) int {
	secondLast, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], secondLast[j-1]+1)
			}
		}
		secondLast, last = last, row
	}
	return last[len(b)]
}
