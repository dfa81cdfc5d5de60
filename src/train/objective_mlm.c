/* objective_mlm: tokens that are hidden in a text, predicted from both sides (BERT: Devlin et al. 2019; chosen anew in
 * every epoch: RoBERTa, Liu et al. 2019). Of encoders with a head of masked tokens.
 *
 *     loss = −Σ weight · log p(token | the text with some of its tokens hidden) / Σ weight
 *
 * over the hidden tokens of the global batch (data/masking.h); names and defaults of the options are those of
 * transformers' DataCollatorForLanguageModeling. A text stands between what the tokenizer puts around it ([CLS] and
 * [SEP]); one longer than max_length becomes several, each with its own ends.
 *
 * What is hidden is a function of seed, step and document, so a run that goes on hides the same. Rows of the evaluation
 * hide the same tokens every time. Not here: the next sentence. */
#include "data/masking.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "train/objective.h"

struct mlm {
	double probability, mask_replace, random_replace, span_p;
	bool whole_words;
	int64_t span_max;
};

static const struct opt mlm_opts[] = {
	OPT_FLOAT("mlm-probability", struct mlm, probability, "0.15", 1e-6, 1,
	          "share of a text's tokens that are hidden"),
	OPT_FLOAT("mask-replace-prob", struct mlm, mask_replace, "0.8", 0, 1, "of the hidden: become the mask"),
	OPT_FLOAT("random-replace-prob", struct mlm, random_replace, "0.1", 0, 1, "of the hidden: become any token"),
	OPT_FLAG("whole-word-mask", struct mlm, whole_words, "false", "all tokens of a word are hidden, or none"),
	OPT_FLOAT("mask-span-p", struct mlm, span_p, "0", 0, 1,
	          "spans of whole words are hidden, their lengths geometric by P (SpanBERT: 0.2); 0: no spans"),
	OPT_INT("mask-span-max", struct mlm, span_max, "10", 1, 1000, "words of a span, at most"),
	OPT_END
};

/* The documents of one step. */
struct hidden {
	struct document *documents;
	int32_t *ids, *predicted, *work;
	uint8_t *learn, *words;         /* words: of masking_words, or NULL */
	size_t n, tokens;               /* of which there is room */
};

static int mlm_check(const void *options, struct err *e)
{
	const struct mlm *o = options;

	if (o->mask_replace + o->random_replace > 1)
		return err_set(e, "--mask-replace-prob %g and --random-replace-prob %g are more than 1 together",
		               o->mask_replace, o->random_replace);
	return 0;
}

static double mlm_masked(const void *options)
{
	return ((const struct mlm *)options)->probability;
}

static int mlm_open(struct objective_run *o, struct err *e)
{
	const struct mlm *options = o->options;
	struct hidden *h;

	if (tokenizer_mask(o->model->tokenizer) < 0)
		return err_set(e, "%s: its tokenizer names no mask_token, which --objective mlm hides tokens with",
		               o->model->source.path);
	o->state = h = mem_alloc(sizeof(*h));
	if (options->whole_words || options->span_p > 0)
		h->words = masking_words(o->model->tokenizer);
	return 0;
}

static void mlm_close(struct objective_run *o)
{
	struct hidden *h = o->state;

	if (!h)
		return;
	mem_free(h->documents);
	mem_free(h->ids);
	mem_free(h->predicted);
	mem_free(h->learn);
	mem_free(h->words);
	mem_free(h->work);
	mem_free(h);
}

static struct masking masking_of(const struct objective_run *o)
{
	const struct mlm *options = o->options;
	const struct hidden *h = o->state;

	return (struct masking){ .tokenizer = o->model->tokenizer, .seed = o->seed,
		                 .mask_replace = options->mask_replace, .random_replace = options->random_replace,
		                 .mask = tokenizer_mask(o->model->tokenizer), .vocabulary = o->model->config.V,
		                 .words = h->words, .span_p = options->span_p,
		                 .span_max = (int32_t)options->span_max };
}

static void make_room(struct hidden *h, const struct document *const *docs, size_t n)
{
	size_t tokens = 0;

	for (size_t i = 0; i < n; i++)
		tokens += (size_t)docs[i]->n;
	if (n > h->n) {
		h->n = n;
		h->documents = mem_grow(h->documents, n, sizeof(*h->documents));
	}
	if (tokens <= h->tokens)
		return;
	h->tokens = tokens;
	h->ids = mem_grow(h->ids, tokens, sizeof(*h->ids));
	h->predicted = mem_grow(h->predicted, tokens, sizeof(*h->predicted));
	h->work = mem_grow(h->work, tokens, sizeof(*h->work));
	h->learn = mem_grow(h->learn, tokens, sizeof(*h->learn));
}

static int mlm_documents(const struct objective_run *o, long step, const struct document *const *docs, size_t n,
                         const struct document **out, size_t *made, struct err *e)
{
	struct hidden *h = o->state;
	const struct document *first = step < 0 ? o->eval_documents->items : o->documents->items;
	struct masking m = masking_of(o);
	size_t at = 0;
	(void)e;

	make_room(h, docs, n);
	for (size_t i = 0; i < n; i++) {
		masking_apply(&m, (uint64_t)(step + 1), (uint32_t)(docs[i] - first), docs[i], &h->documents[i],
		              h->ids + at, h->learn + at, h->predicted + at, h->work);
		at += (size_t)docs[i]->n;
		out[i] = &h->documents[i];
	}
	*made = n;
	return 0;
}

static uint32_t mlm_record(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	(void)o;
	return graph_logprob(g, hidden);
}

static void mlm_loss(const struct objective_run *o, const struct batch *b, const float *logprob, float *d_logprob,
                     struct objective_sums *s)
{
	(void)o;
	(void)d_logprob; /* token_logprob's own */
	objective_token_loss(b, logprob, s);
}

static void mlm_eval(const struct objective_run *o, const struct documents *d, const double *sum,
                     struct eval_metrics *m)
{
	double loss = 0;
	(void)o;

	for (size_t i = 0; i < d->n; i++)
		loss -= sum[i];
	m->tokens = (int64_t)d->learnt;
	m->eval_loss = loss / (double)m->tokens;
	m->perplexity = exp(m->eval_loss);
}

const struct objective objective_mlm = {
	.name = "mlm",
	.summary = "tokens that are hidden in a text (encoders)",
	.rate = 1,
	.opts = mlm_opts,
	.windows = true,
	.options_size = sizeof(struct mlm),
	.check = mlm_check,
	.masked = mlm_masked,
	.open = mlm_open,
	.close = mlm_close,
	.documents = mlm_documents,
	.record = mlm_record,
	.loss = mlm_loss,
	.eval = mlm_eval,
};
