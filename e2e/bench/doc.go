// Package bench measures crossfade's bucket copies against the tools that people use today, side by side: the same servers, the
// same objects, in the same run, in turns. A figure alone says nothing on a busy machine, a ratio does.
//
//	work ── for each round, for each contender in turn ── a fresh destination ── Measure ── median ── ratio ── target
//
// The servers run on this machine and share its cores with the contenders, so that wall time is that of both. Client CPU and
// memory are those of the contender's process alone, as the system counts them.
package bench
