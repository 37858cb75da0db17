// Package shard spreads a list of named things evenly over several runs, the same way each time.
package shard
