/* trainer_eval: how well the weights of this moment do on --eval-data, by the forward-only tape.
 *
 *     eval_loss  = −Σ log p / number, over the supervised tokens (of choice rows: those of the gold choice)
 *     acc        = share of choice rows whose gold choice has the highest Σ log p; acc_norm: divided by its characters
 * Scores and errors are lm-eval's (judge/statistics.h). The scorer is made when planning, so its memory is part of the
 * plan. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "eval/statistics.h"
#include "train/trainer_parts.h"

int trainer_make_scorer(struct trainer *t, struct err *e)
{
	struct scorer_options o = { .max_tokens = (int32_t)t->recipe.micro_batch_tokens, .max_length = t->max_length };
	size_t before = mem_rss();

	if (scorer_new(&t->scorer, &t->model, t->overlay, t->pool, t->kernels, &o, e) < 0 ||
	    scorer_prepare(t->scorer, t->eval.pointer, t->eval.documents.n, false, e) < 0)
		return -1;
	t->eval_sums = mem_array(t->eval.documents.n, sizeof(*t->eval_sums));
	t->totals.eval_bytes = mem_rss() - MIN(before, mem_rss());
	return 0;
}

struct tally {
	double loss, *hit, *hit_norm;
	int64_t tokens;
	size_t n;
};

/* One choice row: documents first..end. */
static void tally_choices(struct tally *s, const struct dataset *d, const double *sums, size_t first, size_t end)
{
	size_t best = first, best_norm = first;
	for (size_t i = first; i < end; i++) {
		const struct document *doc = &d->documents.items[i];
		if (sums[i] > sums[best])
			best = i;
		if (sums[i] / doc->choice_chars > sums[best_norm] / d->documents.items[best_norm].choice_chars)
			best_norm = i;
		if (doc->gold) {
			s->loss -= sums[i];
			s->tokens += doc->n_learn;
		}
	}
	s->hit[s->n] = d->documents.items[best].gold;
	s->hit_norm[s->n++] = d->documents.items[best_norm].gold;
}

static void tally_all(struct tally *s, const struct dataset *d, const double *sums)
{
	size_t end;
	for (size_t i = 0; i < d->documents.n; i = end) {
		const struct document *doc = &d->documents.items[i];
		end = i + 1;
		if (doc->choice < 0) {
			s->loss -= sums[i];
			s->tokens += doc->n_learn;
			s->n++;
			continue;
		}
		while (end < d->documents.n && d->documents.items[end].choice > 0)
			end++;
		tally_choices(s, d, sums, i, end);
	}
}

struct watch { bool (*interrupted)(void); bool stopped; };

static int watch_progress(void *ctx, size_t done, size_t total)
{
	struct watch *w = ctx;
	(void)done;
	(void)total;
	w->stopped |= w->interrupted && w->interrupted();
	return w->stopped ? -1 : 0;
}

int trainer_eval(struct trainer *t, struct eval_metrics *m, bool (*interrupted)(void), bool *stopped, struct err *e)
{
	const struct dataset *d = &t->eval;
	struct watch watch = { .interrupted = interrupted };
	struct tally s = { 0 };
	double begin = clock_seconds();

	if (!t->has_eval)
		BUG("an evaluation without rows");
	if (scorer_run(t->scorer, d->pointer, d->documents.n, false, t->eval_sums, NULL, watch_progress, &watch, e) <
	    0) {
		*stopped = watch.stopped;
		return -1;
	}
	s.hit = mem_array(d->documents.n, sizeof(double));
	s.hit_norm = mem_array(d->documents.n, sizeof(double));
	tally_all(&s, d, t->eval_sums);
	*m = (struct eval_metrics){ .eval_loss = s.loss / (double)s.tokens, .tokens = s.tokens, .n = (int64_t)s.n };
	m->perplexity = exp(m->eval_loss);
	m->acc = m->acc_norm = m->acc_stderr = m->acc_norm_stderr = NAN;
	if (d->documents.items[0].choice >= 0) {
		struct estimate acc = estimate_mean(s.hit, s.n), norm = estimate_mean(s.hit_norm, s.n);
		m->acc = acc.mean;
		m->acc_stderr = acc.stderr_;
		m->acc_norm = norm.mean;
		m->acc_norm_stderr = norm.stderr_;
	}
	m->seconds = clock_seconds() - begin;
	mem_free(s.hit);
	mem_free(s.hit_norm);
	return 0;
}

bool trainer_has_eval(const struct trainer *t)
{
	return t->has_eval;
}
