/* serve_session: what people said since a server began, and what their time costs. It reads the file over a connection
 * of its own, so whoever serves is not in its way. */
#ifndef CMD_FEEDBACK_SERVE_SESSION_H
#define CMD_FEEDBACK_SERVE_SESSION_H

#include "base/err.h"
#include "cmd/command.h"

struct serve_session {
	const char *path;               /* borrowed */
	struct feedback *f;
	int64_t before;                 /* the last label that was there */
	size_t told;                    /* labels at the last line */
	double next;                    /* when the next line is due */
};

int serve_session_begin(struct serve_session *s, const char *path, struct err *e);
/* One line a minute, where more was said. */
int serve_session_look(struct serve_session *s, struct err *e);
/* The command's last word. */
int serve_session_end(struct serve_session *s, const struct app *app, struct err *e);
void serve_session_free(struct serve_session *s);

#endif
