/* log: lines on stderr. On a terminal the live line stays the last one: another line wipes it, is written, and the
 * live line is drawn again below. It is cut to the terminal's width, since a wrapped line cannot be redrawn. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "base/term.h"

#define PLAIN_SECONDS 10.0

static enum log_level current = LOG_NORMAL;
static char live[512];        /* what stands in the terminal's last line, "" for nothing */
static double live_time = -1; /* when a plain live line was last written */
static bool live_pending;     /* a later one was held back since */
static _Thread_local const struct log_sink *lent;

void log_set(enum log_level level) { current = level; }
static bool log_terminal(void) { return term_is(STDERR_FILENO); }

static void live_wipe(void)
{
	if (live[0] && log_terminal())
		fputs("\r\033[K", stderr);
}

static void live_draw(void)
{
	int columns, rows;
	term_size(STDERR_FILENO, &columns, &rows);
	fprintf(stderr, "\r%.*s\033[K", (int)term_fit(live, strlen(live), (size_t)MAX(columns, 2) - 1), live);
}

static void line(const char *before, const char *fmt, va_list ap)
{
	live_wipe();
	char *text = sentence_vprintf(fmt, ap);
	fputs(before, stderr);
	term_write(stderr, text, strlen(text), false);
	fputc('\n', stderr);
	mem_free(text);
	if (live[0] && log_terminal())
		live_draw();
}

/* To the sink, where there is one. */
static bool divert(enum log_level level, const char *fmt, va_list ap)
{
	char text[1024];
	if (!lent)
		return false;
	sentence_vformat(text, sizeof(text), fmt, ap);
	if (lent->say)
		lent->say(lent->ctx, level, text);
	return true;
}

const struct log_sink *log_lend(const struct log_sink *sink)
{
	const struct log_sink *before = lent;
	lent = sink;
	return before;
}

void log_say(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (!divert(LOG_NORMAL, fmt, ap) && current != LOG_QUIET)
		line("", fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (!divert(LOG_WARNING, fmt, ap) && current != LOG_QUIET)
		line("warning: ", fmt, ap);
	va_end(ap);
}

void log_live(const char *fmt, ...)
{
	va_list ap;
	if (lent || current == LOG_QUIET)
		return;
	va_start(ap, fmt);
	sentence_vformat(live, sizeof(live), fmt, ap);
	va_end(ap);
	if (log_terminal()) {
		live_draw();
		return;
	}
	double now = clock_seconds();
	live_pending = live_time >= 0 && now - live_time < PLAIN_SECONDS;
	if (live_pending)
		return;
	live_time = now;
	fprintf(stderr, "%s\n", live);
}

void log_live_end(void)
{
	if (lent)
		return;
	if (current != LOG_QUIET && live[0]) {
		if (log_terminal())
			fputc('\n', stderr);
		else if (live_pending)
			fprintf(stderr, "%s\n", live);
	}
	live[0] = 0;
	live_pending = false;
	live_time = -1;
}
