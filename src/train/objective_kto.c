/* objective_kto: answers that were good become likelier, those that were not less likely, beside what a reference says
 * (Ethayarajh et al. 2024, KTO): no pairs are wanted. Names, defaults and measures are TRL's KTOTrainer's.
 *
 *     r(x, y) = Σ over the tokens of y of log π(token) − log π_ref(token)
 *     KL = max(0, the mean over the global batch of r(x, y′))      y′: the row before's answer
 *     desirable     w_d · (1 − σ(β·(r − KL)))
 *     undesirable   w_u · (1 − σ(β·(KL − r)))
 *     loss = Σ weight · these / Σ weight      over the rows of the global batch
 *
 * KL has no gradient: the x, y′ run forward before the step (objective.h, beside). As in TRL, y′ goes round within
 * as many rows of the file as a step takes, and steps take them in that order; --train-sampling-strategy random keeps
 * each y′ with its x and shuffles. A single row left at the end has the answer of the row before it, in TRL its own.
 * apo_zero_unpaired (D'Oosterlinck et al. 2024) has no KL: w_d · (1 − σ(βr)) and w_u · σ(βr).
 *
 * rewards/chosen and rewards/rejected are β·r of desirable and undesirable answers, kl is KL. Not here: TRL's margin
 * of the two means. */
#include "data/label.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "train/pairs.h"

enum { KTO_CHOSEN, KTO_REJECTED, KTO_LOGP_CHOSEN, KTO_LOGP_REJECTED, KTO_KL };

struct kto {
	const char *loss_type;
	double beta, weight[2];
	struct synced_options synced;
};

struct kto_state { double kl, sum, n; };

static const struct opt kto_opts[] = {
	OPT_FLOAT("beta", struct kto, beta, "0.1", 0, 1e6,
	          "how closely the model stays to what it was; more is closer"),
	OPT_STRING("loss-type", struct kto, loss_type, "kto", "NAME", "kto: kto or apo_zero_unpaired"),
	OPT_FLOAT("desirable-weight", struct kto, weight[DESIRABLE], "1", 0, 1e6, "how much good answers count"),
	OPT_FLOAT("undesirable-weight", struct kto, weight[UNDESIRABLE], "1", 0, 1e6, "how much the others count"),
	SYNCED_OPTS(struct kto, synced),
	OPT_END
};

static const char *const loss_types[] = { "kto", "apo_zero_unpaired", NULL };

static bool has_kl(const void *options) { return !strcmp(((const struct kto *)options)->loss_type, "kto"); }

static const struct synced_options *kto_synced(const void *options) { return &((const struct kto *)options)->synced; }

static int kto_check(const void *options, struct err *e)
{
	const struct kto *k = options;

	if (pairs_check_beta(k->beta, "kto", e) < 0 || synced_check(&k->synced, e) < 0)
		return -1;
	return objective_loss_type(&objective_kto, k->loss_type, e);
}

/* One-sided rows have nothing to be told apart by. */
static int kto_open(struct objective_run *o, struct err *e)
{
	const struct documents *d = o->documents;
	size_t good = 0;

	o->state = mem_alloc(sizeof(struct kto_state));
	for (size_t i = 0; i < d->n; i++)
		good += d->items[i].role == DESIRABLE;
	if (good && good < d->n)
		return 0;
	return err_set(e, "%s: all %zu answers are %s: --objective kto wants both kinds%s", d->items[0].file, d->n,
	               good ? "desirable" : "undesirable", good ? "; --objective sft learns good answers alone" : "");
}

static void kto_close(struct objective_run *o) { mem_free(o->state); }

/* --- the mismatched answers --- */

/* Where the answer begins. */
static int32_t answer_of(const struct document *d)
{
	int32_t k = 0;

	while (!d->learn[k])
		k++;
	return k;
}

/* The prompt of one and the answer of another, cut as long documents are. */
static void mismatch(struct documents *out, const struct document *prompt, const struct document *answer,
                     int32_t max_length)
{
	struct document *d = &out->items[out->n++];
	int32_t asked = answer_of(prompt), from = answer_of(answer), n = MIN(asked + answer->n - from, max_length);

	*d = *prompt;
	d->n = n;
	d->n_learn = n - asked;
	d->ids = arena_array(&out->mem, (size_t)n, sizeof(*d->ids));
	d->learn = arena_alloc(&out->mem, (size_t)n);
	memcpy(d->ids, prompt->ids, (size_t)asked * sizeof(*d->ids));
	memcpy(d->ids + asked, answer->ids + from, (size_t)d->n_learn * sizeof(*d->ids));
	memset(d->learn + asked, 1, (size_t)d->n_learn);
	out->tokens += (size_t)n;
	out->learnt += (size_t)d->n_learn;
}

static int kto_beside(const struct objective_run *o, const struct documents *d, size_t global, struct documents *out,
                      struct err *e)
{
	if (global < 2 || d->n < 2)
		return err_set(e, "--objective kto estimates a KL from answers of other rows of a step: 2 rows or more "
		                  "are wanted in one, not %zu (--per-device-train-batch-size)", MIN(global, d->n));
	out->items = mem_array(d->n, sizeof(*out->items));
	for (size_t first = 0; first < d->n; first += global)
		for (size_t i = first, end = MIN(first + global, d->n); i < end; i++)
			mismatch(out, &d->items[i], &d->items[i > first || end - first < 2 ? i - 1 : end - 1],
			         o->max_length);
	return 0;
}

static void kto_whole(const struct objective_run *o, const struct document *const *docs, size_t n)
{
	struct kto_state *state = o->state;
	(void)docs;
	(void)n;

	*state = (struct kto_state){ 0 };
}

static void kto_look(const struct objective_run *o, const struct batch *b, const struct document *const *docs,
                     const float *logp)
{
	struct kto_state *state = o->state;
	(void)docs;

	objective_document_sums(b, logp, batch_column(b, "reference"), o->scratch);
	for (int32_t i = 0; i < b->n_docs; i++)
		state->sum += o->scratch[i];
	state->n += b->n_docs;
}

static void kto_looked(const struct objective_run *o)
{
	struct kto_state *state = o->state;

	state->kl = fmax(state->sum / state->n, 0);
}

/* --- the loss --- */

static void one(const struct objective_run *o, const struct batch *b, int32_t i, struct objective_sums *s)
{
	const struct kto *k = o->options;
	const struct kto_state *state = o->state;
	int32_t role = b->doc_role[i];
	double r = o->scratch[i], weight = (double)b->group_weight[b->doc_group[i]],
	       side = role == DESIRABLE ? 1 : -1, x = side * k->beta * (r - state->kl);

	if (s) {
		s->loss += weight * k->weight[role] * sigmoid(-x); /* 1 − σ(x) */
		s->weight += weight;
		objective_measure(s, role == DESIRABLE ? KTO_CHOSEN : KTO_REJECTED, k->beta * r, weight);
		objective_measure(s, KTO_KL, state->kl, weight);
	}
	o->scratch[i] = -weight * k->weight[role] * side * k->beta * sigmoid(x) * sigmoid(-x);
}

static void kto_loss(const struct objective_run *o, const struct batch *b, const float *logp, float *d_logp,
                     struct objective_sums *s)
{
	objective_document_sums(b, logp, batch_column(b, "reference"), o->scratch);
	for (int32_t i = 0; i < b->n_docs; i++)
		one(o, b, i, s);
	for (int32_t i = 0; d_logp && i < b->n_labels; i++)
		d_logp[i] = (float)o->scratch[b->label_doc[i]];
	if (!s)
		return;
	objective_document_sums(b, logp, NULL, o->scratch);
	for (int32_t i = 0; i < b->n_docs; i++)
		objective_measure(s, b->doc_role[i] == DESIRABLE ? KTO_LOGP_CHOSEN : KTO_LOGP_REJECTED, o->scratch[i],
		                  (double)b->group_weight[b->doc_group[i]]);
}

/* Each row loses half of its weight: known where these are the same. */
static double kto_start(const void *options)
{
	const struct kto *k = options;

	return k->weight[DESIRABLE] == k->weight[UNDESIRABLE] ? 0.5 * k->weight[DESIRABLE] : NAN;
}

static const char *const roles[] = { [DESIRABLE] = "desirable", [UNDESIRABLE] = "undesirable", NULL };
static const struct batch_column columns[] = { { "reference", PER_LABEL }, { 0 } };
static const char *const metrics[] = {
	[KTO_CHOSEN] = "rewards/chosen",   [KTO_REJECTED] = "rewards/rejected", [KTO_LOGP_CHOSEN] = "logps/chosen",
	[KTO_LOGP_REJECTED] = "logps/rejected", [KTO_KL] = "kl", NULL
};

const struct objective objective_kto = {
	.name = "kto",
	.summary = "good answers and others by themselves, beside the model at its start",
	.rate = 0.05,
	.opts = kto_opts,
	.options_size = sizeof(struct kto),
	.roles = roles,
	.columns = columns,
	.reference = true,
	.synced = kto_synced,
	.sequential = true,
	.metrics = metrics,
	.loss_types = loss_types,
	.check = kto_check,
	.open = kto_open,
	.close = kto_close,
	.start = kto_start,
	.whole = kto_whole,
	.looks = has_kl,
	.beside = kto_beside,
	.look = kto_look,
	.looked = kto_looked,
	.record = pairs_record,
	.weight = pairs_weight,
	.loss = kto_loss,
};
