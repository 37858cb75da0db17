// Package window says when something may begin: in weekly windows of one time zone, and not on dates that are closed.
//
//	Parse ──> Schedule ── Next(at, need) ──> the first time from at on that has need left before its window closes
//
// Windows are meant by the wall clock of their zone. On the day on which the clock is put forward, a time that does not exist is
// the moment of the change; on the day on which it is set back, a time that comes twice is the first of both. Windows that touch
// are one.
package window
