// Package cli holds the rules of output: results on standard output, as a table or as JSON; progress and logs on
// standard error, as bars on a terminal and as plain lines elsewhere.
package cli
