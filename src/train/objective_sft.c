/* objective_sft: the next token of what is to be learnt (all of a text, answers and completions alone otherwise).
 *
 *     loss = −Σ weight · log p(token | those before it in its document) / Σ weight
 *
 * over the labels of the global batch.
 *
 * The gradient of the unscaled sum is taken by token_logprob itself; the division comes with the update, so that no
 * split of the global batch shows.
 *
 * With --fim-rate a share of what is learnt whole has its middle at the end (data/fim.h), other texts in every step;
 * evaluated is what rows say.
 *
 *     eval_loss  = −Σ log p / number, over the supervised tokens (of choice rows: those of the gold choice)
 *     acc        = share of choice rows whose gold choice has the highest Σ log p; acc_norm: divided by its characters
 *
 * Scores and errors are lm-eval's (eval/statistics.h). */
#include "train/objective.h"

#include <math.h>

#include "base/mem.h"
#include "data/fim.h"
#include "eval/statistics.h"

struct sft {
	double fim_rate, fim_spm_rate;
};

static const struct opt sft_opts[] = {
	OPT_FLOAT("fim-rate", struct sft, fim_rate, "0", 0, 1,
	          "share of texts whose middle is put at their end, to learn to fill it in"),
	OPT_FLOAT("fim-spm-rate", struct sft, fim_spm_rate, "0.5", 0, 1,
	          "of those: the suffix stands before the prefix"),
	OPT_END
};

static uint32_t sft_record(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	(void)o;
	return graph_logprob(g, hidden);
}

static void sft_loss(const struct objective_run *o, const struct batch *b, const float *logprob, float *d_logprob,
                     struct objective_sums *s)
{
	(void)o;
	(void)d_logprob; /* token_logprob's own */
	objective_token_loss(b, logprob, s);
}

/* --- fill in the middle --- */

/* The documents of one step. */
struct filling {
	struct fim fim;
	struct document *documents;
	int32_t *ids;
	size_t n, tokens;               /* of which there is room */
};

static bool sft_rewrites(const void *options) { return ((const struct sft *)options)->fim_rate > 0; }

static int sft_open(struct objective_run *o, struct err *e)
{
	const struct sft *options = o->options;
	struct filling *f;

	if (!sft_rewrites(options))
		return 0;
	o->state = f = mem_alloc(sizeof(*f));
	f->fim = (struct fim){ .seed = o->seed, .rate = options->fim_rate, .spm_rate = options->fim_spm_rate };
	return fim_marks(&f->fim, o->model->tokenizer, e) < 0 ? err_prefix(e, "--fim-rate") : 0;
}

static void sft_close(struct objective_run *o)
{
	struct filling *f = o->state;

	if (!f)
		return;
	mem_free(f->documents);
	mem_free(f->ids);
	mem_free(f);
}

static int sft_documents(const struct objective_run *o, long step, const struct document *const *docs, size_t n,
                         const struct document **out, size_t *made, struct err *e)
{
	struct filling *f = o->state;
	size_t tokens = 0, at = 0;
	(void)e;

	for (size_t i = 0; i < n; i++)
		tokens += (size_t)docs[i]->n;
	if (n > f->n)
		f->documents = mem_grow(f->documents, f->n = n, sizeof(*f->documents));
	if (tokens > f->tokens)
		f->ids = mem_grow(f->ids, f->tokens = tokens, sizeof(*f->ids));
	for (size_t i = 0; i < n; i++) {
		fim_apply(&f->fim, (uint64_t)step, (uint32_t)i, docs[i], f->ids + at);
		f->documents[i] = *docs[i];
		f->documents[i].ids = f->ids + at;
		at += (size_t)docs[i]->n;
		out[i] = &f->documents[i];
	}
	*made = n;
	return 0;
}

/* --- evaluation --- */

struct tally {
	double loss, *hit, *hit_norm;
	int64_t tokens;
	size_t n;
	struct eval_row *rows;
};

/* What a row adds to the loss. */
static void tally_loss(struct tally *s, const struct document *doc, double sum)
{
	s->loss -= sum;
	s->tokens += doc->n_learn;
	s->rows[s->n] = (struct eval_row){ -sum, doc->n_learn, NAN };
}

/* One choice row: documents first..end. */
static void tally_choices(struct tally *s, const struct documents *d, const double *sums, size_t first, size_t end)
{
	size_t best = first, best_norm = first;
	for (size_t i = first; i < end; i++) {
		const struct document *doc = &d->items[i];
		if (sums[i] > sums[best])
			best = i;
		if (sums[i] / doc->choice_chars > sums[best_norm] / d->items[best_norm].choice_chars)
			best_norm = i;
		if (doc->gold)
			tally_loss(s, doc, sums[i]);
	}
	s->rows[s->n].hit = s->hit[s->n] = d->items[best].gold;
	s->hit_norm[s->n++] = d->items[best_norm].gold;
}

static void tally_all(struct tally *s, const struct documents *d, const double *sums)
{
	size_t end;
	for (size_t i = 0; i < d->n; i = end) {
		const struct document *doc = &d->items[i];
		end = i + 1;
		if (doc->choice < 0) {
			tally_loss(s, doc, sums[i]);
			s->n++;
			continue;
		}
		while (end < d->n && d->items[end].choice > 0)
			end++;
		tally_choices(s, d, sums, i, end);
	}
}

static void sft_eval(const struct objective_run *o, const struct documents *d, const double *sum,
                     struct eval_metrics *m)
{
	struct tally s = { .hit = mem_array(d->n, sizeof(double)), .hit_norm = mem_array(d->n, sizeof(double)),
		           .rows = m->rows };
	(void)o;

	tally_all(&s, d, sum);
	m->eval_loss = s.loss / (double)s.tokens;
	m->tokens = s.tokens;
	m->n = (int64_t)s.n;
	m->perplexity = exp(m->eval_loss);
	if (d->items[0].choice >= 0) {
		struct estimate acc = estimate_mean(s.hit, s.n), norm = estimate_mean(s.hit_norm, s.n);
		m->acc = acc.mean;
		m->acc_stderr = acc.stderr_;
		m->acc_norm = norm.mean;
		m->acc_norm_stderr = norm.stderr_;
	}
	mem_free(s.hit);
	mem_free(s.hit_norm);
}

const struct objective objective_sft = {
	.name = "sft",
	.summary = "the next token of texts and answers",
	.also = (const char *const[]){ "ntp", "clm", NULL },
	.standard = true,
	.windows = true,
	.rate = 1,
	.opts = sft_opts,
	.options_size = sizeof(struct sft),
	.rewrites = sft_rewrites,
	.open = sft_open,
	.close = sft_close,
	.documents = sft_documents,
	.record = sft_record,
	.loss = sft_loss,
	.eval = sft_eval,
};
