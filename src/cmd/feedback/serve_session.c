/* serve_session: counted over the labels that stand and came after the server began. */
#include "cmd/feedback/serve_session.h"

#include <math.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/sentence.h"
#include "feedback/store.h"

enum { MINUTE = 60, HOUR = 3600 };

struct given { size_t labels, raters; double seconds; };

static bool is_new(const int64_t *raters, size_t n, int64_t rater)
{
	while (n && raters[n - 1] != rater)
		n--;
	return !n;
}

/* last: of all labels that stand. */
static int count(const struct serve_session *s, struct given *g, int64_t *last, struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct feedback_label *labels = NULL;
	size_t n = 0;
	int status = feedback_labels(s->f, &mem, &labels, &n, e);
	int64_t *raters = arena_array(&mem, n, sizeof(*raters));

	*g = (struct given){ 0 };
	*last = n ? labels[n - 1].id : 0;
	for (size_t i = 0; i < n; i++) {
		if (labels[i].id <= s->before)
			continue;
		g->labels++;
		g->seconds += isnan(labels[i].seconds) ? 0 : labels[i].seconds;
		if (is_new(raters, g->raters, labels[i].rater))
			raters[g->raters++] = labels[i].rater;
	}
	arena_release(&mem);
	return status;
}

static void say(const struct given *g, double wage, char out[160])
{
	int n = sentence_format(out, 160, "%zu labels by %zu raters", g->labels, g->raters);
	char time[32];

	if (!(g->seconds > 0)) /* nobody said how long it took */
		return;
	clock_human(g->seconds, time);
	n += snprintf(out + n, 160 - (size_t)n, ", %s of their time", time);
	if (wage > 0)
		snprintf(out + n, 160 - (size_t)n, ", %.2f at %g an hour", g->seconds / HOUR * wage, wage);
}

int serve_session_begin(struct serve_session *s, const char *path, struct err *e)
{
	struct given g;

	*s = (struct serve_session){ .path = path, .next = clock_seconds() + MINUTE };
	return feedback_open(&s->f, path, false, e) < 0 ? -1 : count(s, &g, &s->before, e);
}

int serve_session_look(struct serve_session *s, struct err *e)
{
	struct given g;
	int64_t last;
	char text[160];

	if (clock_seconds() < s->next)
		return 0;
	s->next = clock_seconds() + MINUTE;
	if (count(s, &g, &last, e) < 0)
		return -1;
	say(&g, feedback_study(s->f)->wage, text);
	if (g.labels != s->told)
		log_say("%s", text);
	s->told = g.labels;
	return 0;
}

int serve_session_end(struct serve_session *s, const struct app *app, struct err *e)
{
	double wage = feedback_study(s->f)->wage;
	struct given g;
	int64_t last;
	char text[160];

	if (count(s, &g, &last, e) < 0)
		return -1;
	say(&g, wage, text);
	app_summary(app, json_pack("{s:o, s:I, s:I, s:f, s:o}", "feedback", jsonx_path(s->path), "labels",
	                           (json_int_t)g.labels, "raters", (json_int_t)g.raters, "seconds", g.seconds, "money",
	                           wage > 0 ? json_real(g.seconds / HOUR * wage) : json_null()));
	if (!app->json)
		app_print("%s\n", text);
	return 0;
}

void serve_session_free(struct serve_session *s)
{
	feedback_close(s->f);
}
