/* group_policy: see group_policy.h. A step: answers (train/rollout.h), rewards, advantages, documents; then its
 * micro-batches, of which `passed` keeps the log-probabilities; then what is told, which the doctor sees. */
#include "train/group_policy.h"

#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"

const char *const group_roles[] = { "prompt", NULL };
const struct batch_column group_columns[] = { { "advantage", PER_DOCUMENT }, { "kept", PER_DOCUMENT },
	                                      { "denominator", PER_DOCUMENT }, { "old", PER_LABEL },
	                                      { "reference", PER_LABEL }, { 0 } };
const char *const group_metrics[] = { [GROUP_ENTROPY] = "entropy", [GROUP_CLIP_LOW] = "clip_ratio/low_mean",
	                              [GROUP_CLIP_HIGH] = "clip_ratio/high_mean",
	                              [GROUP_CLIP] = "clip_ratio/region_mean", NULL };

enum { NAME = 64 };
#define STATE_FILE "answers.json"

struct group_policy {
	const struct group_kind *kind;
	void *more;
	struct rollout rollout, evaluation; /* the latter in the session of the first */
	struct rewards *rewards;
	const struct row **row, **eval_row; /* of each document of the data */
	struct eval_row *eval_rows;        /* [documents of the evaluation] */
	double **by, *reward;              /* [rewards][most], [most] */
	float *advantage;                  /* [most] */
	float *old;                        /* [most][max_completion_length] */
	long drawn;                        /* the step whose answers these are, −1: none */
	bool fresh;                        /* nothing was learnt from them yet */
	struct doctor doctor;
	/* Of the step: */
	double kl, logp, tokens;           /* sums over its tokens */
	struct doctor_step seen;
	bool told;                         /* the step is done, and the doctor has not seen it */
	double *by_mean;                   /* [rewards] */
	char names[OBJECTIVE_METRICS][NAME];
	const char *name[OBJECTIVE_METRICS];
};

void **group_more(const struct objective_run *o) { return &((struct group_policy *)o->state)->more; }
struct rollout *group_rollout(const struct objective_run *o) { return &((struct group_policy *)o->state)->rollout; }
const double *group_rewards(const struct objective_run *o) { return ((struct group_policy *)o->state)->reward; }

static const struct group_options *options_of(const struct objective_run *o) { return o->options; }

/* --- opening --- */

int group_check_whole(const struct group_options *o, struct err *e)
{
	if (o->top_k == 0 && o->top_p == 1)
		return 0;
	return err_set(e, "%s: answers are drawn from the whole distribution here, since the loss would have to know "
	                  "what was cut off it; --temperature is there",
	               o->top_k ? "--top-k" : "--top-p");
}

int group_check(const void *options, struct err *e)
{
	const struct group_options *o = options;

	if (o->rollout.num_generations < 2)
		return err_set(e, "--num-generations %lld: an answer is compared with others to the same prompt, so 2 "
		                  "or more were wanted", (long long)o->rollout.num_generations);
	if (o->synced.sync && o->beta == 0)
		return err_set(e, "--sync-ref-model is of a reference, and with --beta 0 none is asked: a --beta above "
		                  "0 is wanted");
	if (group_check_whole(o, e) < 0 || synced_check(&o->synced, e) < 0)
		return -1;
	return reward_check(&o->reward, e);
}

/* The row that each document is of: rows in their order give a document each, or none. */
static const struct row **rows_of(const struct documents *d, const struct rows *rows)
{
	const struct row **out = mem_array(d->n + 1, sizeof(*out));
	size_t at = 0;

	for (size_t i = 0; i < d->n; i++) {
		while (at + 1 < rows->n && (rows->items[at].line != d->items[i].line ||
		                            strcmp(rows->items[at].file, d->items[i].file) != 0))
			at++;
		out[i] = &rows->items[at];
	}
	return out;
}

int group_open(struct objective_run *o, const struct group_kind *kind)
{
	const struct group_options *options = o->options;
	struct group_policy *g = mem_alloc(sizeof(*g));

	*g = (struct group_policy){ .kind = kind, .drawn = -1 };
	g->doctor = (struct doctor){ .mode = options->doctor, .most_entropy = log(o->model->config.V) };
	o->state = g;
	if (o->documents->n == 1)
		log_warn("there is one prompt: what is learnt is its answer alone");
	return 0;
}

void group_close(struct objective_run *o)
{
	struct group_policy *g = o->state;

	if (!g)
		return;
	rollout_close(&g->evaluation);
	rollout_close(&g->rollout);
	for (size_t i = 0; g->by && i < rewards_n(g->rewards); i++)
		mem_free(g->by[i]);
	rewards_close(g->rewards);
	mem_free(g->by);
	mem_free(g->by_mean);
	mem_free(g->reward);
	mem_free(g->advantage);
	mem_free(g->old);
	mem_free(g->row);
	mem_free(g->eval_row);
	mem_free(g->eval_rows);
	mem_free(g);
}

void group_maxima(const struct objective_run *o, struct objective_maxima *m)
{
	*m = rollout_maxima(&options_of(o)->rollout, o);
}

long group_repeats(const void *options) { return (long)((const struct group_options *)options)->num_iterations; }

const struct synced_options *group_synced(const void *options)
{
	return &((const struct group_options *)options)->synced;
}

static int open_rewards(struct group_policy *g, struct objective_run *o, struct objective_plan *p, struct err *e)
{
	struct reward_policy policy = { o->model, o->chat, o->device, o->max_length };
	size_t most = g->rollout.most;

	if (rewards_open(&g->rewards, &options_of(o)->reward, &policy, e) < 0 ||
	    rewards_fit(g->rewards, o->rows, e) < 0 || (o->eval_rows && rewards_fit(g->rewards, o->eval_rows, e) < 0))
		return -1;
	p->bytes += rewards_bytes(g->rewards);
	g->by = mem_array(rewards_n(g->rewards), sizeof(*g->by));
	for (size_t i = 0; i < rewards_n(g->rewards); i++)
		g->by[i] = mem_array(most, sizeof(double));
	g->by_mean = mem_array(rewards_n(g->rewards), sizeof(*g->by_mean));
	g->reward = mem_array(most, sizeof(*g->reward));
	return 0;
}

int group_plan(struct objective_run *o, struct objective_plan *p, struct err *e)
{
	const struct group_options *options = o->options;
	struct group_policy *g = o->state;
	bool scored = options->beta != 0;
	int scores = !scored ? 0 : g->kind->kl_in_reward ? SCORE_UNDER | SCORE_POLICY : SCORE_UNDER;

	if (rollout_check(&options->rollout, o, e) < 0 ||
	    rollout_open(&g->rollout, &options->rollout, o, scores, p, e) < 0 || open_rewards(g, o, p, e) < 0)
		return -1;
	g->advantage = mem_array(g->rollout.most, sizeof(*g->advantage));
	g->old = mem_array(g->rollout.most * (size_t)options->rollout.max_completion_length, sizeof(*g->old));
	g->row = rows_of(o->documents, o->rows);
	if (!o->eval_documents)
		return 0;
	rollout_beside(&g->evaluation, &g->rollout);
	g->eval_row = rows_of(o->eval_documents, o->eval_rows);
	g->eval_rows = mem_array(o->eval_documents->n, sizeof(*g->eval_rows));
	return 0;
}

/* --- what answers are worth --- */

/* Rank 0 judges, whom a program or a model answers once. */
static int share_judgement(struct group_policy *g, struct ranks *ranks, size_t n, struct err *e)
{
	size_t *at = mem_array((size_t)ranks->size + 1, sizeof(*at));
	int status = 0;

	for (int k = 1; k <= ranks->size; k++)
		at[k] = n * sizeof(double);
	for (size_t i = 0; i < rewards_n(g->rewards) && !status; i++)
		status = ranks_gather(ranks, RANKS_TAG_DRAWN, g->by[i], at, e);
	mem_free(at);
	return status;
}

/* ranks: that judge the same answers, or NULL. */
static int judge(struct group_policy *g, const struct rollout *r, const struct documents *of,
                 const struct row *const *rows, struct ranks *ranks, struct err *e)
{
	struct reward_case *c = mem_array(r->n, sizeof(*c));

	for (size_t i = 0; i < r->n; i++) {
		const struct completion *x = &r->items[i];
		c[i] = (struct reward_case){ .row = rows[x->prompt - of->items], .text = x->text, .ended = x->ended,
			                     .ids = x->document.ids + x->prompt->n, .n = x->length,
			                     .most = (int32_t)r->o.max_completion_length };
	}
	int status = ranks_follows(ranks) ? 0 : rewards_judge(g->rewards, c, r->n, g->by, e);
	status = ranks_agree(ranks, status, NULL, e);
	if (!status && ranks)
		status = share_judgement(g, ranks, r->n, e);
	for (size_t i = 0; i < r->n && !status; i++)
		g->reward[i] = rewards_sum(g->rewards, g->by, i);
	mem_free(c);
	return status;
}

/* RLOO's: what the policy and the reference said of all of an answer. */
static double kl_of(const struct rollout *r, size_t i)
{
	size_t at = i * (size_t)r->o.max_completion_length;
	double sum = 0;

	for (int32_t k = 0; k < r->items[i].length; k++)
		sum += (double)r->policy[at + (size_t)k] - (double)r->under[at + (size_t)k];
	return sum;
}

static void make_advantages(struct group_policy *g, const struct objective_run *o)
{
	const struct group_options *options = o->options;
	const struct rollout *r = &g->rollout;
	double *x = mem_array(r->n, sizeof(*x));

	for (size_t i = 0; i < r->n; i++)
		x[i] = g->reward[i] - (r->policy ? options->beta * kl_of(r, i) : 0);
	g->kind->advantages(o->options, x, r->n, (size_t)r->generations);
	for (size_t i = 0; i < r->n; i++)
		g->advantage[i] = (float)x[i];
	mem_free(x);
}

/* Mean and standard deviation (Bessel's) of what is a number. */
static double mean_of(const double *x, size_t n, double *deviation)
{
	double sum = 0, squares = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i];
	for (size_t i = 0; i < n; i++)
		squares += (x[i] - sum / (double)n) * (x[i] - sum / (double)n);
	*deviation = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
	return sum / (double)n;
}

/* Correlation of rewards with lengths; NAN: one of them does not vary. */
static double with_length(const struct group_policy *g)
{
	const struct rollout *r = &g->rollout;
	double a, b, mean, sum = 0, length = 0, *x = mem_array(r->n, sizeof(*x));

	mean = mean_of(g->reward, r->n, &a);
	for (size_t i = 0; i < r->n; i++)
		x[i] = r->items[i].length;
	length = mean_of(x, r->n, &b);
	for (size_t i = 0; i < r->n; i++)
		sum += (g->reward[i] - mean) * (x[i] - length);
	mem_free(x);
	return a > 0 && b > 0 ? sum / (double)(r->n - 1) / (a * b) : NAN;
}

/* Answers that are compared: those to a prompt; where there is one to each, all. */
static size_t group_of(const struct rollout *r) { return r->generations > 1 ? (size_t)r->generations : r->n; }

static void see_groups(struct group_policy *g)
{
	const struct rollout *r = &g->rollout;
	size_t G = group_of(r), groups = r->n / G, flat = 0;
	double deviation;

	for (size_t i = 0; i < groups; i++) {
		mean_of(g->reward + i * G, G, &deviation);
		flat += deviation < 1e-8;
	}
	g->seen.flat = (double)flat / (double)groups;
}

/* Of the answers as they were drawn. */
static void see_answers(struct group_policy *g)
{
	const struct rollout *r = &g->rollout;
	double deviation, held = 0, held_variance = 0, root = sqrt((double)r->n);
	size_t n_held = 0, cut = 0, tokens = 0;

	for (size_t i = 0; i < r->n; i++) {
		cut += !r->items[i].ended;
		tokens += (size_t)r->items[i].length;
	}
	g->seen = (struct doctor_step){ .cut = (double)cut / (double)r->n, .length = (double)tokens / (double)r->n,
		                        .with_length = with_length(g), .kl = NAN };
	see_groups(g);
	g->seen.reward = mean_of(g->reward, r->n, &deviation);
	g->seen.reward_stderr = deviation / root;
	for (size_t i = 0; i < rewards_n(g->rewards); i++) {
		g->by_mean[i] = mean_of(g->by[i], r->n, &deviation);
		if (rewards_weight(g->rewards, i) != 0)
			continue;
		held += g->by_mean[i];
		held_variance += deviation * deviation;
		n_held++;
	}
	g->seen.held = n_held ? held : NAN;
	g->seen.held_stderr = sqrt(held_variance) / root;
}

/* --- a step --- */

static int draw(struct group_policy *g, const struct objective_run *o, long step, const struct document *const *docs,
                size_t n, struct err *e)
{
	const struct rollout_options *options = &options_of(o)->rollout;

	g->drawn = -1;
	if (rollout_draw(&g->rollout, step, docs, n, (int)options->num_generations, options->temperature, e) < 0 ||
	    rollout_score(&g->rollout, e) < 0 || judge(g, &g->rollout, o->documents, g->row, o->ranks, e) < 0)
		return -1;
	make_advantages(g, o);
	see_answers(g);
	g->drawn = step;
	return 0;
}

int group_documents(const struct objective_run *o, long step, const struct document *const *docs, size_t n,
                    const struct document **out, size_t *made, struct err *e)
{
	struct group_policy *g = o->state;
	long repeats = group_repeats(o->options), first = step / repeats * repeats;

	if (g->told) /* not within the step, where nothing may be allocated for a warning */
		doctor_see(&g->doctor, &g->seen);
	g->told = false;
	if (g->rollout.n && rollout_agrees(&g->rollout, e) < 0)
		return -1;
	if (doctor_verdict(&g->doctor, e) < 0 || (g->drawn != first && draw(g, o, first, docs, n, e) < 0))
		return -1;
	g->fresh = step == first;
	g->kl = g->logp = g->tokens = 0;
	*made = g->rollout.n;
	for (size_t i = 0; i < *made; i++)
		out[i] = &g->rollout.items[i].document;
	return 0;
}

uint32_t group_record(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	return objective_loss(o, g, graph_logprob_at(g, hidden, options_of(o)->rollout.temperature));
}

static void fill_documents(const struct objective_run *o, struct batch *b, const struct document *const *docs)
{
	const struct group_policy *g = o->state;
	float *advantage = batch_column(b, "advantage"), *kept = batch_column(b, "kept"),
	      *denominator = batch_column(b, "denominator");
	bool mask = options_of(o)->mask_truncated;

	for (int32_t d = 0; d < b->n_docs; d++) {
		size_t i = g->rollout.n ? (size_t)(rollout_of(&g->rollout, docs[d]) - g->rollout.items) : 0;
		if (g->rollout.n)
			advantage[d] = g->advantage[i];
		kept[d] = !g->rollout.n || !mask || g->rollout.items[i].ended;
		denominator[d] = (float)(kept[d] != 0 ? g->kind->denominator(o->options, b->doc_labels[d]) :
		                                        g->kind->left_out(o->options));
	}
}

/* Where nothing was drawn (tests of the loss alone), what stands in the columns that answers have is left. */
void group_fill(const struct objective_run *o, struct batch *b, const struct document *const *docs)
{
	const struct group_policy *g = o->state;
	float *old = batch_column(b, "old");

	fill_documents(o, b, docs);
	if (!g->rollout.n)
		return;
	if (g->fresh)
		for (int32_t i = 0; i < b->n_labels; i++)
			old[i] = NAN;
	else
		rollout_fill(&g->rollout, b, docs, g->old, old);
	if (g->rollout.under)
		rollout_fill(&g->rollout, b, docs, g->rollout.under, batch_column(b, "reference"));
}

double group_weight(const struct batch *b)
{
	const float *denominator = batch_column(b, "denominator");
	double sum = 0;

	for (int32_t d = 0; d < b->n_docs; d++)
		sum += (double)b->group_weight[b->doc_group[d]] * (double)denominator[d];
	return sum;
}

struct group_answer group_answer(const struct batch *b, int32_t doc)
{
	return (struct group_answer){ .advantage = (double)batch_column(b, "advantage")[doc],
		                      .kept = batch_column(b, "kept")[doc] != 0,
		                      .denominator = (double)batch_column(b, "denominator")[doc],
		                      .weight = (double)b->group_weight[b->doc_group[doc]] };
}

double group_high(const struct group_options *o) { return 1 + (isnan(o->epsilon_high) ? o->epsilon : o->epsilon_high); }

void group_measure_ratio(struct objective_sums *s, double ratio, double advantage, double low, double high, double w)
{
	bool below = ratio < low && advantage < 0, above = ratio > high && advantage > 0;

	objective_measure(s, GROUP_CLIP_LOW, below, w);
	objective_measure(s, GROUP_CLIP_HIGH, above, w);
	objective_measure(s, GROUP_CLIP, below || above, w);
}

/* k3 of a token: e^y − y − 1, y = log π_ref − log π. */
static double k3(double reference, double x) { return expm1(reference - x) - (reference - x); }

void group_passed(const struct objective_run *o, const struct batch *b, const struct document *const *docs,
                  const float *x)
{
	struct group_policy *g = o->state;
	const float *reference = batch_column(b, "reference");

	if (g->fresh) {
		rollout_keep(&g->rollout, b, docs, x, g->old);
		rollout_look(&g->rollout, b, docs, x);
	}
	for (int32_t i = 0; i < b->n_labels; i++) {
		g->logp += (double)x[i];
		g->kl += g->rollout.under ? k3((double)reference[i], (double)x[i]) : 0;
	}
	g->tokens += b->n_labels;
}

/* --- what is told --- */

static void name_one(struct group_policy *g, struct objective_metrics *m, const char *name, double value)
{
	if (m->n == OBJECTIVE_METRICS)
		return; /* of very many rewards the last are not told */
	snprintf(g->names[m->n], NAME, "%s", name);
	m->value[m->n++] = value;
}

static void name_rewards(struct group_policy *g, struct objective_metrics *m, const double *mean)
{
	char name[NAME];

	for (size_t i = 0; i < rewards_n(g->rewards); i++) {
		snprintf(name, sizeof(name), "rewards/%s/mean", rewards_name(g->rewards, i));
		name_one(g, m, name, mean[i]);
	}
	for (int i = 0; i < m->n; i++)
		g->name[i] = g->names[i];
	m->names = g->name;
}

static double deviation_in_groups(const struct group_policy *g)
{
	const struct rollout *r = &g->rollout;
	size_t G = group_of(r);
	double sum = 0, deviation;

	for (size_t i = 0; i < r->n; i += G) {
		mean_of(g->reward + i, G, &deviation);
		sum += deviation;
	}
	return sum / (double)(r->n / G);
}

void group_tell(const struct objective_run *o, struct objective_metrics *m)
{
	struct group_policy *g = o->state;

	for (int i = 0; i < m->n; i++)
		snprintf(g->names[i], NAME, "%s", m->names[i]);
	name_one(g, m, "reward", g->seen.reward);
	name_one(g, m, "reward_std", deviation_in_groups(g));
	name_one(g, m, "frac_reward_zero_std", g->seen.flat);
	name_one(g, m, "completions/mean_length", g->seen.length);
	name_one(g, m, "completions/clipped_ratio", g->seen.cut);
	if (g->rollout.under)
		name_one(g, m, "kl", g->seen.kl = g->kl / g->tokens);
	name_one(g, m, "sampling/sampling_logp_difference/max", g->rollout.drift.most);
	name_rewards(g, m, g->by_mean);
	g->seen.entropy = -g->logp / g->tokens;
	g->told = true;
}

/* --- an evaluation: the likeliest answer to each prompt --- */

static int evaluate_wave(struct group_policy *g, const struct objective_run *o, const struct document *const *docs,
                         size_t n, struct eval_row *rows, double *sums, double *tokens, struct err *e)
{
	struct rollout *r = &g->evaluation;

	if (rollout_draw(r, 0, docs, n, 1, 0, e) < 0 || judge(g, r, o->eval_documents, g->eval_row, NULL, e) < 0)
		return -1;
	for (size_t k = 0; k < n; k++) {
		rows[k] = (struct eval_row){ -g->reward[k], 1, NAN };
		*tokens += r->items[k].length;
		for (size_t i = 0; i < rewards_n(g->rewards); i++)
			sums[i] += g->by[i][k];
	}
	return 0;
}

static void tell_evaluation(struct group_policy *g, struct eval_metrics *m, double *sums, size_t n, double tokens)
{
	struct objective_metrics *to = &m->metrics;

	*to = (struct objective_metrics){ 0 };
	for (size_t i = 0; i < rewards_n(g->rewards); i++)
		sums[i] /= (double)n;
	name_one(g, to, "reward", -m->eval_loss);
	name_one(g, to, "completions/mean_length", tokens / (double)n);
	name_rewards(g, to, sums);
}

int group_evaluate(const struct objective_run *o, const struct document *const *docs, size_t n,
                   struct eval_metrics *m, struct err *e)
{
	struct group_policy *g = o->state;
	double *sums = mem_array(rewards_n(g->rewards), sizeof(*sums)), tokens = 0, loss = 0,
	       *reward = mem_array(g->rollout.n + 1, sizeof(*reward));
	int status = 0;

	memcpy(reward, g->reward, g->rollout.n * sizeof(*reward)); /* those of a step that goes on */
	for (size_t at = 0; at < n && !status; at += g->evaluation.most)
		status = evaluate_wave(g, o, docs + at, MIN(n - at, g->evaluation.most), g->eval_rows + at, sums,
		                       &tokens, e);
	memcpy(g->reward, reward, g->rollout.n * sizeof(*reward));
	for (size_t i = 0; i < n && !status; i++)
		loss += g->eval_rows[i].loss;
	m->eval_loss = loss / (double)n;
	m->tokens = (int64_t)tokens;
	m->rows = g->eval_rows;
	if (!status)
		tell_evaluation(g, m, sums, n, tokens);
	mem_free(sums);
	mem_free(reward);
	return status;
}

/* --- between steps that learn from the same answers: what a checkpoint needs of them --- */

static json_t *numbers_json(const float *x, size_t n)
{
	json_t *j = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(j, json_real((double)x[i]));
	return j;
}

static json_t *answer_json(const struct group_policy *g, const struct objective_run *o, size_t i)
{
	const struct completion *c = &g->rollout.items[i];
	size_t at = i * (size_t)g->rollout.o.max_completion_length, n = (size_t)c->length;
	json_t *ids = json_array();

	for (size_t k = 0; k < n; k++)
		json_array_append_new(ids, json_integer(c->document.ids[(size_t)c->prompt->n + k]));
	json_t *j = json_pack("{s:I, s:o, s:b, s:f, s:f, s:o}", "prompt",
	                      (json_int_t)(c->prompt - o->documents->items), "ids", ids, "ended", c->ended,
	                      "advantage", (double)g->advantage[i], "reward", g->reward[i], "old",
	                      numbers_json(g->old + at, n));
	if (g->rollout.under)
		json_object_set_new(j, "reference", numbers_json(g->rollout.under + at, n));
	return j;
}

static json_t *seen_json(struct group_policy *g, bool put, json_t *from)
{
	double *x = (double *)&g->seen;
	size_t n = sizeof(g->seen) / sizeof(double);
	json_t *j = put ? json_array() : NULL;

	for (size_t i = 0; i < n + rewards_n(g->rewards); i++) {
		double *to = i < n ? &x[i] : &g->by_mean[i - n];
		if (put)
			json_array_append_new(j, jsonx_number(*to));
		else if (json_is_number(json_array_get(from, i)))
			*to = json_number_value(json_array_get(from, i));
		else
			*to = NAN;
	}
	return j;
}

int group_save(const struct objective_run *o, long step, const char *dir, struct err *e)
{
	struct group_policy *g = o->state;
	json_t *answers = json_array();

	if (step % group_repeats(o->options) == 0) { /* the next step draws new ones */
		json_decref(answers);
		return 0;
	}
	for (size_t i = 0; i < g->rollout.n; i++)
		json_array_append_new(answers, answer_json(g, o, i));
	json_t *j = json_pack("{s:I, s:o, s:o}", "drawn", (json_int_t)g->drawn, "answers", answers, "seen",
	                      seen_json(g, true, NULL));
	char *path = io_join(dir, STATE_FILE);
	int status = jsonx_write_file(path, j, e);
	mem_free(path);
	json_decref(j);
	return status;
}

static void take_numbers(float *to, const json_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (float)json_number_value(json_array_get(from, i));
}

static int take_answer(struct group_policy *g, const struct objective_run *o, const json_t *j, size_t i, size_t n)
{
	const json_t *ids = json_object_get(j, "ids");
	struct rollout *r = &g->rollout;
	size_t length = json_array_size(ids), most = (size_t)r->o.max_completion_length,
	       prompt = (size_t)json_integer_value(json_object_get(j, "prompt"));

	if (prompt >= o->documents->n || !length || length > most || n > r->most ||
	    json_array_size(json_object_get(j, "old")) != length)
		return -1;
	int32_t *token = mem_array(length, sizeof(*token));
	for (size_t k = 0; k < length; k++)
		token[k] = (int32_t)json_integer_value(json_array_get(ids, k));
	rollout_put(r, i, n, (int)r->o.num_generations, &o->documents->items[prompt], token, (int32_t)length,
	            json_is_true(json_object_get(j, "ended")));
	mem_free(token);
	g->advantage[i] = (float)json_number_value(json_object_get(j, "advantage"));
	g->reward[i] = json_number_value(json_object_get(j, "reward"));
	take_numbers(g->old + i * most, json_object_get(j, "old"), length);
	if (r->under)
		take_numbers(r->under + i * most, json_object_get(j, "reference"), length);
	return 0;
}

int group_load(const struct objective_run *o, long step, const char *dir, struct err *e)
{
	struct group_policy *g = o->state;
	int status = 0;

	g->drawn = -1;
	if (step % group_repeats(o->options) == 0)
		return 0;
	char *path = io_join(dir, STATE_FILE);
	json_t *j = jsonx_load_file(path, e), *answers = json_object_get(j, "answers");
	size_t n = json_array_size(answers);
	for (size_t i = 0; i < n && !status; i++)
		status = take_answer(g, o, json_array_get(answers, i), i, n);
	if (j && (status || !n))
		status = err_set(e, "%s: it is damaged", path);
	if (j && !status) {
		seen_json(g, false, json_object_get(j, "seen"));
		g->drawn = (long)json_integer_value(json_object_get(j, "drawn"));
	}
	mem_free(path);
	json_decref(j);
	return j ? status : -1;
}
