/* profiling: what --profile of tune and generate does: time per op as a share of what the machine can do, and a trace
 * for Perfetto. */
#ifndef CMD_PROFILING_H
#define CMD_PROFILING_H

#include "cmd/command.h"
#include "gas/profile.h"
#include "op/trace.h"

struct profiling {
	bool on;
	const char *path;              /* of the trace; NULL: trace.json in the command's own place */
	struct profile machine;
	struct trace trace;
};

#define PROFILE_OPTS(s, f, where) \
	OPT_FLAG("profile", s, f.on, "false", \
	         "time per op as a share of what the machine can do, and a trace for ui.perfetto.dev"), \
		OPT_STRING("trace", s, f.path, NULL, "FILE.json", \
	                   "where --profile writes the trace (default: trace.json in " where ")")

/* Does nothing when it is not on. The machine's profile is read, or measured (two seconds) and kept. */
int profiling_begin(struct profiling *p, struct app *app, struct err *e);
/* The table, under --json one line, and the trace in p->path, else in dir/trace.json. */
int profiling_end(struct profiling *p, struct app *app, const char *dir, struct err *e);
void profiling_release(struct profiling *p);
struct trace *profiling_trace(struct profiling *p); /* NULL when it is not on */

#endif
