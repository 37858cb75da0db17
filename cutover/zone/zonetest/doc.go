// Package zonetest holds the rules that every driver of a zone must keep: the contract in the comments of package zone
// as tests. It runs against memory and against real name servers alike.
package zonetest
