// Package scaffold writes a first migration file by looking at two live clusters. What a person must decide is marked
// (migration.Mark), and the reader of the file refuses it until no mark is left.
//
//	both clusters, name servers ─ Look ─> Survey ─ Propose ─> Proposal ─ Render ─> text
//	                              reads    facts     guesses              the same text for the same facts
//
// Look only reads, within a time limit; what it could not see is said in the file's head. Of a Secret it keeps the names
// of its keys and nothing else.
package scaffold
