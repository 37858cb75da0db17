// Package record remembers what a run of the rig made on the machine, so that another process can remove it after a
// run that was killed.
//
// Each entry is written before the thing is made, or right after where its number is known only then (a process), and
// marked as gone after it was removed:
//
//	{"kind":"process","name":"apiserver","pid":4711,"start":93823}
//	{"kind":"namespace","name":"cf17-blue"}
//	{"gone":"cf17-blue"} ...
//
// Clean removes what is left, newest first. It goes by the record alone: nothing is looked for by a name that
// someone else's process could have too. A process counts as ours only if its start time is the recorded one, since
// the kernel gives numbers out again.
package record
