/* log: text for a person's eyes, on stderr. Silent under --quiet. A live line (progress) is
 * redrawn in a terminal and becomes a plain line every so often elsewhere. Where the program is a library in another
 * one, what the calling thread says goes to the sink that it was lent instead. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_QUIET, LOG_NORMAL, LOG_WARNING };

void log_set(enum log_level level);
void log_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));     /* adds a newline */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));    /* "warning: …" */
/* redrawn in place on a terminal; else at most a line every 10 s */
void log_live(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_live_end(void);                                                      /* leaves the last live line standing */
/* From now on what the calling thread says goes to `sink` (level: LOG_NORMAL, or LOG_WARNING; no newline); NULL: to
 * stderr. Returns the one before. Live lines go nowhere. The struct is borrowed; one whose `say` is NULL swallows
 * everything. */
struct log_sink {
	void (*say)(void *ctx, enum log_level level, const char *text);
	void *ctx;
};
const struct log_sink *log_lend(const struct log_sink *sink);

#endif
