/* objective_dpo: a chosen answer becomes likelier than a rejected one, beside what a reference says of both (Rafailov
 * et al. 2023, Direct Preference Optimization). Names, defaults and measures are TRL's DPOTrainer's.
 *
 *     r(y) = Σ over the tokens of y of log π(token) − log π_ref(token)        y: the completion, its end included
 *     Δ = g(r(chosen)) − g(r(rejected))
 *     g: r, or another divergence's (--f-divergence-type, Wang et al. 2023): forward_kl 1 − exp(−r),
 *         js_divergence log 2 + log σ(r), alpha_divergence (exp((α − 1)·r) − 1)/(α − 1)
 *
 *     loss = Σ weight · loss of a pair / Σ weight      over the pairs of the global batch
 *
 * What a pair loses is a row of the table below (--loss-type, a sum of several with --loss-weights): its formula, and
 * its value where nothing has moved from the reference, which the trainer asserts at the first step of a run whose
 * reference is its start. ε is --label-smoothing. TRL's sigmoid takes none; here it is cDPO's (Mitchell 2023). ipo and
 * sigmoid_norm are of r / its tokens. aot and aot_unpaired compare what is sorted over the global batch: a look at it
 * before the step says who stands beside whom (objective.h, looks). sft is −log π a chosen token, the mean over the
 * tokens of the global batch.
 *
 * Both answers of a pair stand in one micro-batch, and their prompt is computed once. rewards/chosen and
 * rewards/rejected are β·r, rewards/margins their difference, rewards/accuracies how often it is above 0,
 * logps/… Σ log π.
 *
 * --use-weighting (Zhou et al. 2024, WPO): a pair's loss is times w(chosen)·w(rejected), without a gradient,
 *     w(y) = exp(mean over the tokens of y of log π(token) − log Σ_v π(v)²)
 * At temperature ½ a token has π²/Σ π², whose logarithm less log π is that difference: a look at it says so.
 *
 * The reference is what the run began as, or follows it (--sync-ref-model, train/synced.h). */
#include "train/pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MOST_LOSSES = 8 };

struct dpo {
	const char *loss_type, *loss_weights, *divergence;
	double beta, label_smoothing, divergence_alpha, discopop_tau, ld_alpha;
	bool weighting;
	struct synced_options synced;
};

/* --- the losses --- */

/* Of a margin Δ (mean: of r a token), and d loss / dΔ. */
typedef double of_margin(const struct dpo *d, double margin, double *slope);
/* Of r of both answers, and the slopes. */
typedef double of_answers(const struct dpo *d, const double r[2], double slope[2]);

static double sigmoid_loss(const struct dpo *d, double margin, double *slope)
{
	double loss = smoothed_logistic(d->beta * margin, d->label_smoothing, slope);

	*slope *= d->beta;
	return loss;
}

static double plain_sigmoid_loss(const struct dpo *d, double margin, double *slope)
{
	*slope = -d->beta * sigmoid(-d->beta * margin);
	return softplus(-d->beta * margin);
}

static double hinge_loss(const struct dpo *d, double margin, double *slope)
{
	double x = d->beta * margin;

	*slope = x < 1 ? -d->beta : 0;
	return fmax(0, 1 - x);
}

static double ipo_loss(const struct dpo *d, double margin, double *slope)
{
	double off = margin - 1 / (2 * d->beta);

	*slope = 2 * off;
	return off * off;
}

static double exo_pair_loss(const struct dpo *d, double margin, double *slope)
{
	double x = d->beta * margin, e = d->label_smoothing, q = sigmoid(x), p = sigmoid(-x),
	       won = -softplus(-x) - log1p(-e), lost = -softplus(x) - log(e);

	*slope = d->beta * q * p * (won - lost);
	return q * won + p * lost;
}

static double robust_loss(const struct dpo *d, double margin, double *slope)
{
	double x = d->beta * margin, e = d->label_smoothing;

	*slope = -d->beta * ((1 - e) * sigmoid(-x) + e * sigmoid(x)) / (1 - 2 * e);
	return ((1 - e) * softplus(-x) - e * softplus(x)) / (1 - 2 * e);
}

static double discopop_loss(const struct dpo *d, double margin, double *slope)
{
	double x = d->beta * margin, m = sigmoid(x / d->discopop_tau), logistic = softplus(-x), e = exp(-x);

	*slope = d->beta * (-sigmoid(-x) * (1 - m) - e * m + (e - logistic) * m * (1 - m) / d->discopop_tau);
	return logistic * (1 - m) + e * m;
}

static double nca_pair_loss(const struct dpo *d, const double r[2], double slope[2])
{
	double a = d->beta * r[CHOSEN], b = d->beta * r[REJECTED];

	slope[CHOSEN] = d->beta * (0.5 * sigmoid(a) - sigmoid(-a));
	slope[REJECTED] = d->beta * 0.5 * sigmoid(b);
	return softplus(-a) + 0.5 * softplus(a) + 0.5 * softplus(b);
}

static double bco_pair_loss(const struct dpo *d, const double r[2], double slope[2])
{
	double a = d->beta * r[CHOSEN], b = d->beta * r[REJECTED];

	slope[CHOSEN] = -d->beta * sigmoid(-a);
	slope[REJECTED] = d->beta * sigmoid(b);
	return softplus(-a) + softplus(b);
}

static double sppo_hard_loss(const struct dpo *d, const double r[2], double slope[2])
{
	double won = r[CHOSEN] - 0.5 / d->beta, lost = r[REJECTED] + 0.5 / d->beta;

	slope[CHOSEN] = 2 * won;
	slope[REJECTED] = 2 * lost;
	return won * won + lost * lost;
}

static double rise(double x) { return sigmoid(x) * sigmoid(-x); } /* dσ/dx */

static double apo_zero_loss(const struct dpo *d, const double r[2], double slope[2])
{
	double a = d->beta * r[CHOSEN], b = d->beta * r[REJECTED];

	slope[CHOSEN] = -d->beta * rise(a);
	slope[REJECTED] = d->beta * rise(b);
	return 1 - sigmoid(a) + sigmoid(b);
}

static double apo_down_loss(const struct dpo *d, const double r[2], double slope[2])
{
	double a = d->beta * r[CHOSEN], b = d->beta * r[REJECTED];

	slope[CHOSEN] = d->beta * (rise(a) - rise(a - b));
	slope[REJECTED] = d->beta * rise(a - b);
	return sigmoid(a) + 1 - sigmoid(a - b);
}

static double log_2(const struct dpo *d) { (void)d; return log(2); }
static double log_4(const struct dpo *d) { (void)d; return 2 * log(2); }
static double one(const struct dpo *d) { (void)d; return 1; }
static double ipo_start(const struct dpo *d) { return 1 / (4 * d->beta * d->beta); }
static double sppo_start(const struct dpo *d) { return 1 / (2 * d->beta * d->beta); }
static double discopop_start(const struct dpo *d) { (void)d; return 0.5 * (log(2) + 1); }
static double unknown(const struct dpo *d) { (void)d; return NAN; }

static double exo_start(const struct dpo *d)
{
	return -log(2) - 0.5 * log(d->label_smoothing * (1 - d->label_smoothing));
}

enum {
	MEAN = 1,              /* of r / its tokens */
	SMOOTHS = 2,           /* takes --label-smoothing */
	SMOOTHED = 4,          /* wants it above 0 */
	SORTED = 8,            /* Σ log π of pairs beside those of the reference, each sorted over the global batch */
	SORTED_ANSWERS = 16,   /* r of chosen beside r of rejected, each sorted */
	TOKENS = 32,           /* of the chosen tokens */
};

/* The formula is of one of the two; TOKENS has none. */
struct dpo_loss {
	const char *name;
	of_margin *margin;
	of_answers *answers;
	double (*start)(const struct dpo *d);
	unsigned is;
};

static const struct dpo_loss losses[] = {
	{ "sigmoid", sigmoid_loss, NULL, log_2, SMOOTHS },
	{ "hinge", hinge_loss, NULL, one, 0 },                               /* Zhao et al. 2023, SLiC */
	{ "ipo", ipo_loss, NULL, ipo_start, MEAN },                          /* Azar et al. 2023 */
	{ "exo_pair", exo_pair_loss, NULL, exo_start, SMOOTHS | SMOOTHED },  /* Ji et al. 2024 */
	{ "nca_pair", NULL, nca_pair_loss, log_4, 0 },                       /* Chen et al. 2024 */
	{ "robust", robust_loss, NULL, log_2, SMOOTHS },                     /* Chowdhury et al. 2024 */
	{ "bco_pair", NULL, bco_pair_loss, log_4, 0 },                       /* Jung et al. 2024 */
	{ "sppo_hard", NULL, sppo_hard_loss, sppo_start, 0 },                /* Wu et al. 2024 */
	{ "aot", sigmoid_loss, NULL, log_2, SMOOTHS | SORTED },              /* Melnyk et al. 2024 */
	{ "aot_unpaired", sigmoid_loss, NULL, log_2, SMOOTHS | SORTED_ANSWERS },
	{ "apo_zero", NULL, apo_zero_loss, one, 0 },                         /* D'Oosterlinck et al. 2024 */
	{ "apo_down", NULL, apo_down_loss, one, 0 },
	{ "discopop", discopop_loss, NULL, discopop_start, 0 },              /* Lu et al. 2024 */
	{ "sft", NULL, NULL, unknown, TOKENS },
	{ "sigmoid_norm", plain_sigmoid_loss, NULL, log_2, MEAN },
};


static const struct dpo_loss *loss_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(losses); i++)
		if (!strcmp(losses[i].name, name))
			return &losses[i];
	BUG("no loss type %s", name);
}

/* --- options --- */

/* Those that are asked for, with their weights. */
struct mix {
	const struct dpo_loss *loss[MOST_LOSSES];
	double weight[MOST_LOSSES];
	size_t n;
	unsigned is;                   /* of any of them */
};

static const struct opt dpo_opts[] = {
	OPT_FLOAT("beta", struct dpo, beta, "0.1", 0, 1e6,
	          "how closely the model stays to what it was; more is closer"),
	OPT_STRING("loss-type", struct dpo, loss_type, "sigmoid", "NAME",
	           "dpo: of a pair, or several as sigmoid,sft; doc/feedback.md has their table"),
	OPT_STRING("loss-weights", struct dpo, loss_weights, NULL, "LIST", "of several loss types, as 1,0.1 (each 1)"),
	OPT_FLOAT("label-smoothing", struct dpo, label_smoothing, "0", 0, 0.5,
	          "the probability that a preference is the wrong way round"),
	OPT_CHOICE("f-divergence-type", struct dpo, divergence, "reverse_kl",
	           "reverse_kl|forward_kl|js_divergence|alpha_divergence", "what holds the model to its reference"),
	OPT_FLOAT("f-alpha-divergence-coef", struct dpo, divergence_alpha, "0.5", 0, 1e3,
	          "alpha_divergence: its alpha"),
	OPT_FLOAT("ld-alpha", struct dpo, ld_alpha, "1", 0, 1,
	          "how much tokens count beyond the length of the shorter answer"),
	OPT_FLAG("use-weighting", struct dpo, weighting, "false",
	         "pairs count as far as the model would say them now (WPO)"),
	OPT_FLOAT("discopop-tau", struct dpo, discopop_tau, "0.05", 1e-6, 1e6, "discopop: its temperature"),
	SYNCED_OPTS(struct dpo, synced),
	OPT_END
};

static const char *const loss_types[] = {
	"sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
	"apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm", NULL
};

static int add_loss(struct mix *m, const char *name, struct err *e)
{
	if (m->n == MOST_LOSSES)
		return err_set(e, "--loss-type: more than %d", MOST_LOSSES);
	if (objective_loss_type(&objective_dpo, name, e) < 0)
		return -1;
	m->loss[m->n] = loss_of(name);
	m->is |= m->loss[m->n]->is;
	m->weight[m->n++] = 1;
	return 0;
}

static int read_weights(struct mix *m, const char *text, struct err *e)
{
	const char *at = text;
	size_t n = 0;

	for (char *end; text && n < m->n; at = end + 1) {
		m->weight[n] = strtod(at, &end);
		if (end == at || !isfinite(m->weight[n++]) || (*end && *end != ','))
			return err_set(e, "--loss-weights %s: numbers are wanted, as 1,0.1", text);
		if (!*end && n == m->n)
			return 0;
		if (!*end || n == m->n)
			break;
	}
	return text ? err_set(e, "--loss-weights %s: %zu are wanted, one for each of --loss-type", text, m->n) : 0;
}

static int read_mix(struct mix *m, const struct dpo *d, struct err *e)
{
	struct mix none = { 0 };
	char *names = mem_strdup(d->loss_type), *save = NULL;
	int status = 0;

	*m = none;
	for (char *x = strtok_r(names, ",", &save); x && !status; x = strtok_r(NULL, ",", &save))
		status = add_loss(m, x, e);
	mem_free(names);
	if (status)
		return -1;
	if (!m->n)
		return err_set(e, "--loss-type is empty");
	return read_weights(m, d->loss_weights, e);
}

static int check_smoothing(const struct dpo *d, const struct mix *m, struct err *e)
{
	if (d->label_smoothing > 0 && !(m->is & SMOOTHS))
		return err_set(e, "--label-smoothing is of --loss-type sigmoid, robust, exo_pair, aot and "
		                  "aot_unpaired, not %s", d->loss_type);
	if ((m->is & SMOOTHED) && !(d->label_smoothing > 0))
		return err_set(e, "--loss-type exo_pair wants --label-smoothing above 0, as 0.001");
	for (size_t i = 0; i < m->n; i++)
		if (m->loss[i]->margin == robust_loss && d->label_smoothing == 0.5)
			return err_set(e, "--loss-type robust divides by 1 - 2 times --label-smoothing: below 0.5 is "
			                  "wanted");
	return 0;
}

/* Only a loss of Δ has a divergence of another kind in it. */
static int check_divergence(const struct dpo *d, const struct mix *m, struct err *e)
{
	for (size_t i = 0; i < m->n && strcmp(d->divergence, "reverse_kl") != 0; i++)
		if (m->loss[i]->answers || (m->loss[i]->is & (SORTED | SORTED_ANSWERS)))
			return err_set(e, "--f-divergence-type %s is of losses of the difference of both answers, "
			                  "which --loss-type %s is not", d->divergence, m->loss[i]->name);
	return 0;
}

/* A weight is a pair's own: one that stands beside others, or is of tokens, has none. */
static int check_weighting(const struct dpo *d, const struct mix *m, struct err *e)
{
	if (d->weighting && m->is & (SORTED | SORTED_ANSWERS | TOKENS))
		return err_set(e, "--use-weighting is of losses of a pair, which --loss-type %s is not", d->loss_type);
	if (d->weighting && d->ld_alpha != 1)
		return err_set(e, "--use-weighting and --ld-alpha weigh the same tokens otherwise: one of them");
	return 0;
}

static int dpo_check(const void *options, struct err *e)
{
	const struct dpo *d = options;
	struct mix m;

	if (pairs_check_beta(d->beta, "dpo", e) < 0 || synced_check(&d->synced, e) < 0)
		return -1;
	if (read_mix(&m, d, e) < 0)
		return -1;
	if ((m.is & SORTED) && (m.is & SORTED_ANSWERS))
		return err_set(e, "--loss-type aot and aot_unpaired sort otherwise: one of them");
	return check_weighting(d, &m, e) < 0 || check_smoothing(d, &m, e) < 0 ? -1 : check_divergence(d, &m, e);
}

/* --- the pair --- */

struct dpo_state {
	struct mix mix;
	double for_a_token;            /* pairs for each chosen token, of the whole */
	/* of what is sorted: [documents of the data and of the evaluation] whom each stands beside */
	double *partner;
	struct place { double now, reference; size_t chosen; } *place; /* [pairs] */
	size_t n_places;
};

/* r as the divergence has it, and its slope. */
static double score_of(const struct dpo *d, double r, double *slope)
{
	double a = d->divergence_alpha - 1, x = fmin(a * r, 80);

	*slope = 1;
	if (!strcmp(d->divergence, "forward_kl")) {
		*slope = exp(-r);
		return 1 - *slope;
	}
	if (!strcmp(d->divergence, "js_divergence")) {
		*slope = sigmoid(-r);
		return log(2) - softplus(-r);
	}
	if (strcmp(d->divergence, "alpha_divergence") != 0 || fabs(a) < 1e-6)
		return r;
	*slope = a * r > 80 ? 0 : exp(x);
	return (exp(x) - 1) / a;
}

static double of_delta(const struct dpo *d, const struct dpo_loss *l, const struct pair *p, double slope[2])
{
	double score[2], rise_of[2], share[2] = { 1, 1 }, by;

	for (int k = 0; k < 2; k++) {
		score[k] = score_of(d, p->ratio[k], &rise_of[k]);
		if (l->is & MEAN)
			share[k] = 1.0 / p->tokens[k];
	}
	double loss = l->margin(d, score[CHOSEN] * share[CHOSEN] - score[REJECTED] * share[REJECTED], &by);
	slope[CHOSEN] = by * share[CHOSEN] * rise_of[CHOSEN];
	slope[REJECTED] = -by * share[REJECTED] * rise_of[REJECTED];
	return loss;
}

/* A rank's loss is the chosen one's; both answers of that rank get their slope from it. */
static double of_sorted(const struct dpo *d, const struct dpo_loss *l, const struct pair *p, double slope[2])
{
	double loss, by;

	if (l->is & SORTED) {
		loss = l->margin(d, p->logp[CHOSEN] - p->logp[REJECTED] - p->partner[CHOSEN], &slope[CHOSEN]);
		slope[REJECTED] = -slope[CHOSEN];
		return loss;
	}
	loss = l->margin(d, p->ratio[CHOSEN] - p->partner[CHOSEN], &slope[CHOSEN]);
	l->margin(d, p->partner[REJECTED] - p->ratio[REJECTED], &by);
	slope[REJECTED] = -by;
	return loss;
}

/* partner: the mean of log π½ a token. */
static void weigh(const struct pair *p, struct pair_loss *out)
{
	double w = 0;

	for (int k = 0; k < 2; k++)
		w += p->partner[k] - p->logp[k] / p->tokens[k];
	out->loss *= exp(w);
	for (int k = 0; k < 2; k++)
		out->slope[k] *= exp(w);
}

static void dpo_pair(const void *ctx, const struct pair *p, struct pair_loss *out)
{
	const struct objective_run *o = ctx;
	const struct dpo *d = o->options;
	const struct mix *m = &((const struct dpo_state *)o->state)->mix;

	for (size_t i = 0; i < m->n; i++) {
		const struct dpo_loss *l = m->loss[i];
		double slope[2] = { 0 };
		if (l->is & TOKENS)
			continue;
		out->loss += m->weight[i] * (l->answers ? l->answers(d, p->ratio, slope) :
		                             l->is & (SORTED | SORTED_ANSWERS) ? of_sorted(d, l, p, slope) :
		                                                                 of_delta(d, l, p, slope));
		for (int k = 0; k < 2; k++)
			out->slope[k] += m->weight[i] * slope[k];
	}
	if (d->weighting)
		weigh(p, out);
	for (int k = 0; k < 2; k++) {
		out->reward[k] = d->beta * p->ratio[k];
		out->logp[k] = p->logp[k];
	}
}

static double nll_of(const struct dpo_state *state)
{
	double sum = 0;

	for (size_t i = 0; i < state->mix.n; i++)
		sum += state->mix.loss[i]->is & TOKENS ? state->mix.weight[i] : 0;
	return sum * state->for_a_token;
}

static struct pairs pairs_of(const struct objective_run *o, const struct batch *b)
{
	const struct dpo_state *state = o->state;

	return (struct pairs){ .reference = batch_column(b, "reference"), .partner = batch_column(b, "partner"),
		               .partner_low = batch_column(b, "partner_low"),
		               .ld_alpha = ((const struct dpo *)o->options)->ld_alpha, .nll = nll_of(state),
		               .loss = dpo_pair, .ctx = o };
}

static void dpo_loss(const struct objective_run *o, const struct batch *b, const float *logp, float *d_logp,
                     struct objective_sums *s)
{
	struct pairs p = pairs_of(o, b);

	pairs_loss(&p, o, b, logp, d_logp, -1, s);
}

static double dpo_start(const void *options)
{
	const struct dpo *d = options;
	struct err ignored = ERR_INIT;
	struct mix m;
	double sum = 0;

	read_mix(&m, d, &ignored);
	for (size_t i = 0; i < m.n; i++)
		sum += m.weight[i] * m.loss[i]->start(d);
	return d->weighting ? NAN : sum;
}

static void dpo_whole(const struct objective_run *o, const struct document *const *docs, size_t n)
{
	struct dpo_state *state = o->state;

	state->for_a_token = pairs_for_a_token(docs, n);
	state->n_places = 0;
}

/* --- what is sorted --- */

static const struct synced_options *dpo_synced(const void *options) { return &((const struct dpo *)options)->synced; }

static bool dpo_looks(const void *options)
{
	struct err ignored = ERR_INIT;
	struct mix m;

	read_mix(&m, options, &ignored);
	return ((const struct dpo *)options)->weighting || m.is & (SORTED | SORTED_ANSWERS);
}

static double dpo_looks_at(const void *options) { return ((const struct dpo *)options)->weighting ? 0.5 : 1; }

static size_t documents_of(const struct documents *d) { return d ? d->n : 0; }

/* The number of a document among those of the data, then the evaluation. */
static size_t number_of(const struct objective_run *o, const struct document *d)
{
	const struct documents *own = o->documents;

	return d >= own->items && d < own->items + own->n ? (size_t)(d - own->items) :
	                                                    own->n + (size_t)(d - o->eval_documents->items);
}

/* Of each answer the mean of what its tokens are worth at temperature ½. */
static void look_sharp(const struct objective_run *o, const struct batch *b, const struct document *const *docs,
                       const float *logp)
{
	double *sum = o->scratch;

	objective_document_sums(b, logp, NULL, sum);
	for (int32_t d = 0; d < b->n_docs; d++)
		((struct dpo_state *)o->state)->partner[number_of(o, docs[d])] = sum[d] / b->doc_labels[d];
}

static void dpo_look(const struct objective_run *o, const struct batch *b, const struct document *const *docs,
                     const float *logp)
{
	struct dpo_state *state = o->state;

	if (((const struct dpo *)o->options)->weighting) {
		look_sharp(o, b, docs, logp);
		return;
	}
	struct pairs p = pairs_of(o, b);
	bool answers = state->mix.is & SORTED_ANSWERS;

	pairs_sums(&p, o, b, logp);
	for (int32_t g = 0; g < b->n_groups; g++) {
		const double *ratio = o->scratch + b->group_doc[g], *sum = ratio + b->n_docs;
		double now = sum[CHOSEN] - sum[REJECTED];
		state->place[state->n_places++] = (struct place){
			.now = answers ? ratio[CHOSEN] : now,
			.reference = answers ? ratio[REJECTED] : now - (ratio[CHOSEN] - ratio[REJECTED]),
			.chosen = number_of(o, docs[b->group_doc[g]]),
		};
	}
}

static int by_now(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->now != y->now ? (x->now > y->now) - (x->now < y->now) :
	                          (x->chosen > y->chosen) - (x->chosen < y->chosen);
}

static int by_reference(const void *a, const void *b)
{
	const struct place *x = *(struct place *const *)a, *y = *(struct place *const *)b;

	return x->reference != y->reference ? (x->reference > y->reference) - (x->reference < y->reference) :
	                                      (x->chosen > y->chosen) - (x->chosen < y->chosen);
}

static void dpo_looked(const struct objective_run *o)
{
	struct dpo_state *state = o->state;
	size_t n = state->n_places; /* none where nothing is sorted */
	const struct place **order = mem_array(n, sizeof(*order));

	qsort(state->place, n, sizeof(*state->place), by_now);
	for (size_t i = 0; i < n; i++)
		order[i] = &state->place[i];
	qsort(order, n, sizeof(*order), by_reference);
	for (size_t i = 0; i < n; i++) { /* the same rank in both */
		state->partner[state->place[i].chosen] = order[i]->reference;
		state->partner[order[i]->chosen + 1] = state->place[i].now;
	}
	mem_free(order);
}

static void dpo_fill(const struct objective_run *o, struct batch *b, const struct document *const *docs)
{
	const struct dpo_state *state = o->state;
	float *partner = batch_column(b, "partner"), *low = batch_column(b, "partner_low");

	for (int32_t i = 0; i < b->n_docs; i++) {
		double x = state->partner ? state->partner[number_of(o, docs[i])] : 0;
		partner[i] = (float)x;
		low[i] = (float)(x - (double)partner[i]);
	}
}

static int dpo_open(struct objective_run *o, struct err *e)
{
	struct dpo_state *state = mem_alloc(sizeof(*state));
	size_t n = o->documents->n + documents_of(o->eval_documents);

	o->state = state;
	state->for_a_token = 1;
	if (read_mix(&state->mix, o->options, e) < 0)
		return -1;
	if (dpo_looks(o->options)) {
		state->partner = mem_array(n, sizeof(*state->partner));
		state->place = mem_array(n, sizeof(*state->place));
	}
	return 0;
}

static void dpo_close(struct objective_run *o)
{
	struct dpo_state *state = o->state;

	if (!state)
		return;
	mem_free(state->partner);
	mem_free(state->place);
	mem_free(state);
}

static const char *const roles[] = PAIR_ROLES;
static const struct batch_column columns[] = { { "reference", PER_LABEL }, { "partner", PER_DOCUMENT },
	                                       { "partner_low", PER_DOCUMENT }, { 0 } };
static const char *const metrics[] = { PAIR_METRIC_NAMES, NULL };

const struct objective objective_dpo = {
	.name = "dpo",
	.summary = "chosen answers over rejected ones, beside the model at its start",
	.rate = 0.05,
	.opts = dpo_opts,
	.options_size = sizeof(struct dpo),
	.roles = roles,
	.columns = columns,
	.reference = true,
	.synced = dpo_synced,
	.metrics = metrics,
	.loss_types = loss_types,
	.check = dpo_check,
	.open = dpo_open,
	.close = dpo_close,
	.record = pairs_record,
	.start = dpo_start,
	.whole = dpo_whole,
	.looks = dpo_looks,
	.looks_at = dpo_looks_at,
	.look = dpo_look,
	.looked = dpo_looked,
	.weight = pairs_weight,
	.fill = dpo_fill,
	.loss = dpo_loss,
};
