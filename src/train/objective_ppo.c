/* objective_ppo: answers that are worth more than was expected become likelier, token by token (Schulman et al. 2017,
 * Proximal Policy Optimization; Ziegler et al. 2019). Names, defaults and formulas are TRL's PPOTrainer's.
 *
 *     r_t = −kl_coef · k_t, and what the answer is worth on its last token
 *         k1 = x = log π − log π_ref at the draw
 *         k3 = e^(−x) − 1 + x; an answer that was cut is worth missing_eos_penalty less
 *     A_t, R_t = gae(r, V, γ, λ), the advantages whitened over the step       (train/gae.h)
 *     q = π/π_old
 *     policy  max(−A·q, −A·clip(q, 1 ± cliprange))
 *     value   ½·max((v − R)², (clip(v, V ± cliprange_value) − R)²)
 *     loss = mean over the tokens of the step of policy + vf_coef · value
 *
 * V is a row of numbers over the final norm, beside the head, which begins as 0 and ends in OBJECTIVE_FILE. Where TRL
 * differs: its value model is another one; its means are of micro-batches, ours of the step; it shuffles answers into
 * num_mini_batches, ours is 1; it adds the worth one place behind the end, ours has no place there.
 *
 * --kl-target T: kl_coef · (1 + clip(KL/T − 1, ±0.2) · answers/horizon) after each draw, KL the mean of an
 * answer's sum of k1 (Ziegler et al. 2019). All steps of --num-ppo-epochs are on the same answers; in the first q is
 * exactly 1. */
#include <math.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "infer/scorer.h"
#include "train/gae.h"
#include "train/group_policy.h"

#define PPO_FILE "ppo.json"

struct ppo {
	struct group_options group;    /* the first */
	const char *estimator;
	double cliprange_value, vf_coef, gamma, lam, penalty, target, horizon;
	bool whiten_rewards;
};

static const struct opt ppo_opts[] = {
	ROLLOUT_OPTS(struct ppo, group.rollout, "1", "53", "0.7"),
	OPT_INT("num-ppo-epochs", struct ppo, group.num_iterations, "4", 1, 1000, "steps on the same answers"),
	OPT_FLOAT("kl-coef", struct ppo, group.beta, "0.05", 0, 1e6, "what a token's distance from the start costs"),
	OPT_CHOICE("kl-estimator", struct ppo, estimator, "k1", "k1|k3", "of that distance"),
	OPT_FLOAT("kl-target", struct ppo, target, "0", 0, 1e6, "of an answer: --kl-coef follows it; 0: it stays"),
	OPT_FLOAT("kl-horizon", struct ppo, horizon, "10000", 1, 1e12, "answers in which it does"),
	OPT_FLOAT("cliprange", struct ppo, group.epsilon, "0.2", 0, 1e6, "how far from 1 a ratio counts"),
	OPT_FLOAT("cliprange-value", struct ppo, cliprange_value, "0.2", 0, 1e6, "how far a value may move at once"),
	OPT_FLOAT("vf-coef", struct ppo, vf_coef, "0.1", 0, 1e6, "how much the values' loss counts"),
	OPT_FLOAT("gamma", struct ppo, gamma, "1", 0, 1, "what a reward is worth a token earlier"),
	OPT_FLOAT("lam", struct ppo, lam, "0.95", 0, 1, "of the advantages' estimate: 1 trusts rewards, 0 values"),
	OPT_FLOAT("missing-eos-penalty", struct ppo, penalty, "0", 0, 1e6, "taken off what a cut answer is worth"),
	OPT_FLAG("whiten-rewards", struct ppo, whiten_rewards, NULL, "rewards of a step have variance 1"),
	GROUP_WHOLE_OPTS(struct ppo, group),
	REWARD_OPTS(struct ppo, group.reward),
	DOCTOR_OPT(struct ppo, group.doctor),
	OPT_END
};

static const struct batch_column columns[] = {
	{ "advantage", PER_DOCUMENT },    { "kept", PER_DOCUMENT }, { "denominator", PER_DOCUMENT },
	{ "old", PER_LABEL },             { "reference", PER_LABEL }, { "token_advantage", PER_LABEL },
	{ "return", PER_LABEL },          { "value", PER_LABEL },   { 0 }
};
enum { ENTROPY, POLICY, VALUE, APPROX_KL, CLIP, VALUE_CLIP, RATIO, NON_SCORE, KL_COEF };
static const char *const metrics[] = {
	[ENTROPY] = "entropy", [POLICY] = "loss/policy_avg", [VALUE] = "loss/value_avg",
	[APPROX_KL] = "policy/approxkl_avg", [CLIP] = "policy/clipfrac_avg", [VALUE_CLIP] = "val/clipfrac_avg",
	[RATIO] = "val/ratio", [NON_SCORE] = "objective/non_score_reward", [KL_COEF] = "objective/kl_coef", NULL
};

struct state {
	struct scorer *scorer;             /* log π and V of answers as they were drawn */
	float *logp, *value, *advantage, *returns; /* [most][max_completion_length] */
	float *passed;                     /* [labels of a micro-batch] */
	double kl_coef, non_score;         /* the latter: mean of an answer's sum, of the last draw */
	long made;                         /* the step whose answers these are of, −1: none */
	const struct objective_run *run;
};

static void as_they_are(const void *options, double *x, size_t n, size_t G)
{
	(void)options;
	(void)x;
	(void)n;
	(void)G;
}

static double tokens_of(const void *options, int32_t labels)
{
	(void)options;
	return labels;
}

static const struct group_kind kind = { .advantages = as_they_are, .denominator = tokens_of };

static int ppo_check(const void *options, struct err *e)
{
	const struct group_options *o = &((const struct ppo *)options)->group;

	return group_check_whole(o, e) < 0 ? -1 : reward_check(&o->reward, e);
}

static int ppo_open(struct objective_run *o, struct err *e)
{
	struct state *s = mem_alloc(sizeof(*s));
	(void)e;

	*s = (struct state){ .made = -1, .kl_coef = ((const struct ppo *)o->options)->group.beta, .run = o };
	int status = group_open(o, &kind);
	*group_more(o) = s;
	return status;
}

static struct state *state_of(const struct objective_run *o) { return *group_more(o); }

static void ppo_close(struct objective_run *o)
{
	struct state *s = o->state ? state_of(o) : NULL;

	if (s) {
		scorer_free(s->scorer);
		mem_free(s->logp);
		mem_free(s->value);
		mem_free(s->advantage);
		mem_free(s->returns);
		mem_free(s->passed);
	}
	mem_free(s);
	group_close(o);
}

static int ppo_params(const struct objective_run *o, struct params *p, struct err *e)
{
	(void)e;
	params_add(p, "value.weight", 2, (size_t[]){ 1, (size_t)o->model->config.C }, -1);
	return 0;
}

static uint32_t ppo_values(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	const struct ppo *p = o->options;
	uint32_t logp = graph_logprob_at(g, hidden, p->group.rollout.temperature);
	struct linear l = { .x = graph_head_rows(g, hidden), .w = nn_param(g, &o->own, 0) };

	return op_label_values(g->tape, logp, op_linear(g->tape, &l));
}

static uint32_t ppo_record(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	return objective_loss(o, g, ppo_values(o, g, hidden));
}

/* --- answers as they were drawn --- */

static uint32_t record_drawn(void *ctx, struct graph *g, uint32_t hidden)
{
	return ppo_values(((struct state *)ctx)->run, g, hidden);
}

static void keep_drawn(void *ctx, struct batch *b, const struct document *const *docs, const float *x)
{
	struct state *s = ctx;
	struct rollout *r = group_rollout(s->run);

	for (int k = 0; k < 2; k++) {
		for (int32_t i = 0; i < b->n_labels; i++)
			s->passed[i] = x[2 * i + k];
		rollout_keep(r, b, docs, s->passed, k ? s->value : s->logp);
	}
}

static int open_scorer(struct state *s, struct objective_run *o, struct objective_plan *p, struct err *e)
{
	const struct forest_options *f = o->forest;
	struct scorer_options so = { .max_tokens = f->max_tokens, .max_length = MIN(o->max_length, f->max_tokens),
		                     .as_trained = true, .unshared = !f->share, .record = record_drawn,
		                     .next_tokens = true, .scored = keep_drawn, .ctx = s };
	size_t before = mem_rss();

	if (scorer_new(&s->scorer, o->model, o->overlay, o->device, &so, e) < 0)
		return -1;
	scorer_reserve(s->scorer, o->cap);
	p->bytes += mem_rss() - MIN(before, mem_rss());
	return 0;
}

static int ppo_plan(struct objective_run *o, struct objective_plan *p, struct err *e)
{
	struct state *s = state_of(o);

	if (group_plan(o, p, e) < 0)
		return -1;
	const struct rollout *r = group_rollout(o);
	size_t n = r->most * (size_t)r->o.max_completion_length;
	float **own[] = { &s->logp, &s->value, &s->advantage, &s->returns };
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		*own[i] = mem_array(n, sizeof(float));
	s->passed = mem_array(MAX((size_t)o->cap->labels, n), sizeof(*s->passed));
	p->bytes += 5 * n * sizeof(float);
	return open_scorer(s, o, p, e);
}

static int score(struct state *s, const struct objective_run *o, struct err *e)
{
	struct rollout *r = group_rollout(o);
	const struct document **docs = mem_array(r->n, sizeof(*docs));
	double flops = scorer_flops(s->scorer), int_ops = scorer_int_ops(s->scorer);

	for (size_t i = 0; i < r->n; i++)
		docs[i] = &r->items[i].document;
	int status = scorer_run(s->scorer, docs, r->n, false, NULL, NULL, NULL, NULL, e);
	mem_free(docs);
	o->computed->flops += scorer_flops(s->scorer) - flops;
	o->computed->int_ops += scorer_int_ops(s->scorer) - int_ops;
	return status;
}

/* Of all answers, each whitened with all others. */
static void whiten_all(const struct rollout *r, float *x, bool keep_mean)
{
	size_t L = (size_t)r->o.max_completion_length;
	struct whitening w = { 0 };

	for (size_t i = 0; i < r->n; i++)
		whitening_add(&w, x + i * L, (size_t)r->items[i].length);
	for (size_t i = 0; i < r->n; i++)
		whitening_add_squares(&w, x + i * L, (size_t)r->items[i].length);
	for (size_t i = 0; i < r->n; i++)
		whiten(&w, x + i * L, (size_t)r->items[i].length, keep_mean);
}

/* Into `reward`, an answer's tokens; Σ k1 is returned. */
static double reward_tokens(const struct state *s, const struct objective_run *o, size_t i, float *reward)
{
	const struct ppo *p = o->options;
	const struct rollout *r = group_rollout(o);
	const struct completion *c = &r->items[i];
	size_t at = i * (size_t)r->o.max_completion_length;
	bool k3 = p->estimator[1] == '3';
	double kl = 0;

	for (int32_t t = 0; t < c->length; t++) {
		double x = r->under ? (double)s->logp[at + (size_t)t] - (double)r->under[at + (size_t)t] : 0;
		kl += x;
		reward[t] = (float)(-s->kl_coef * (k3 ? expm1(-x) + x : x));
	}
	reward[c->length - 1] += (float)(group_rewards(o)[i] - (c->ended ? 0 : p->penalty));
	return kl;
}

static void estimate(struct state *s, const struct objective_run *o)
{
	const struct ppo *p = o->options;
	const struct rollout *r = group_rollout(o);
	size_t L = (size_t)r->o.max_completion_length;
	float *reward = s->passed; /* room for as many */
	double kl = 0;

	s->non_score = 0;
	for (size_t i = 0; i < r->n; i++) {
		kl += reward_tokens(s, o, i, reward + i * L) / (double)r->n;
		for (int32_t t = 0; t < r->items[i].length; t++)
			s->non_score += (double)reward[i * L + (size_t)t] / (double)r->n;
		s->non_score -= (group_rewards(o)[i] - (r->items[i].ended ? 0 : p->penalty)) / (double)r->n;
	}
	if (p->whiten_rewards)
		whiten_all(r, reward, true);
	for (size_t i = 0; i < r->n; i++)
		gae(reward + i * L, s->value + i * L, (size_t)r->items[i].length, p->gamma, p->lam,
		    s->advantage + i * L, s->returns + i * L);
	whiten_all(r, s->advantage, false);
	if (p->target > 0)
		s->kl_coef *= 1 + fmax(-0.2, fmin(kl / p->target - 1, 0.2)) * (double)r->n / p->horizon;
}

static int ppo_documents(const struct objective_run *o, long step, const struct document *const *docs, size_t n,
                         const struct document **out, size_t *made, struct err *e)
{
	struct state *s = state_of(o);
	long repeats = group_repeats(o->options), first = step / repeats * repeats;

	if (group_documents(o, step, docs, n, out, made, e) < 0)
		return -1;
	if (s->made == first)
		return 0;
	if (score(s, o, e) < 0)
		return -1;
	estimate(s, o);
	s->made = first;
	return 0;
}

/* --- the loss --- */

static void ppo_fill(const struct objective_run *o, struct batch *b, const struct document *const *docs)
{
	const struct state *s = state_of(o);
	const struct rollout *r = group_rollout(o);

	group_fill(o, b, docs);
	if (!r->n)
		return;
	rollout_fill(r, b, docs, s->advantage, batch_column(b, "token_advantage"));
	rollout_fill(r, b, docs, s->returns, batch_column(b, "return"));
	rollout_fill(r, b, docs, s->value, batch_column(b, "value"));
}

struct token { double logp, value, ratio, advantage, returns, before; };

static double policy_loss(const struct ppo *p, const struct token *t, double *slope, bool *cut)
{
	double clip = fmin(fmax(t->ratio, 1 - p->group.epsilon), 1 + p->group.epsilon);
	double open = -t->advantage * t->ratio, closed = -t->advantage * clip;

	*cut = closed > open;
	*slope = *cut ? 0 : open;
	return fmax(open, closed);
}

static double value_loss(const struct ppo *p, const struct token *t, double *slope, bool *cut)
{
	double most = p->cliprange_value, off = t->value - t->returns;
	double clip = fmin(fmax(t->value, t->before - most), t->before + most), far = clip - t->returns;

	*cut = far * far > off * off;
	*slope = *cut ? 0 : off; /* what is cut does not move */
	return 0.5 * fmax(off * off, far * far);
}

static void measure(const struct state *s, const struct token *t, double policy, double value, bool cut, bool value_cut,
                    double w, struct objective_sums *sums)
{
	double move = log(t->ratio);

	objective_measure(sums, ENTROPY, -t->logp, w);
	objective_measure(sums, POLICY, policy, w);
	objective_measure(sums, VALUE, value, w);
	objective_measure(sums, APPROX_KL, 0.5 * move * move, w);
	objective_measure(sums, CLIP, cut, w);
	objective_measure(sums, VALUE_CLIP, value_cut, w);
	objective_measure(sums, RATIO, t->ratio, w);
	objective_measure(sums, NON_SCORE, s->non_score, w);
	objective_measure(sums, KL_COEF, s->kl_coef, w);
}

static void ppo_loss(const struct objective_run *o, const struct batch *b, const float *x, float *dx,
                     struct objective_sums *s)
{
	const struct ppo *p = o->options;
	const float *old = batch_column(b, "old"), *advantage = batch_column(b, "token_advantage"),
	            *returns = batch_column(b, "return"), *before = batch_column(b, "value");

	for (int32_t i = 0; i < b->n_labels; i++) {
		double w = (double)b->group_weight[b->doc_group[b->label_doc[i]]], slope[2], loss[2];
		struct token t = { (double)x[2 * i], (double)x[2 * i + 1],
			           isnan(old[i]) ? 1 : exp((double)x[2 * i] - (double)old[i]),
			           (double)advantage[i], (double)returns[i], (double)before[i] };
		bool cut[2];
		loss[0] = policy_loss(p, &t, &slope[0], &cut[0]);
		loss[1] = value_loss(p, &t, &slope[1], &cut[1]);
		if (dx) {
			dx[2 * i] = (float)(w * slope[0]);
			dx[2 * i + 1] = (float)(w * p->vf_coef * slope[1]);
		}
		if (!s)
			continue;
		s->loss += w * (loss[0] + p->vf_coef * loss[1]);
		measure(state_of(o), &t, loss[0], loss[1], cut[0], cut[1], w, s);
	}
	if (s)
		s->weight += group_weight(b);
}

static void ppo_passed(const struct objective_run *o, const struct batch *b, const struct document *const *docs,
                       const float *x)
{
	struct state *s = state_of(o);

	for (int32_t i = 0; i < b->n_labels; i++)
		s->passed[i] = x[2 * i];
	group_passed(o, b, docs, s->passed);
}

/* --- between steps on the same answers --- */

static json_t *numbers(const float *x, size_t n)
{
	json_t *j = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(j, json_real((double)x[i]));
	return j;
}

static int take(float *to, size_t n, const json_t *from)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (float)json_number_value(json_array_get(from, i));
	return json_array_size(from) == n ? 0 : -1;
}

static int ppo_save(const struct objective_run *o, long step, const char *dir, struct err *e)
{
	const struct state *s = state_of(o);
	const struct rollout *r = group_rollout(o);
	size_t n = step % group_repeats(o->options) ? r->n * (size_t)r->o.max_completion_length : 0;

	if (group_save(o, step, dir, e) < 0)
		return -1;
	json_t *j = json_pack("{s:I, s:f, s:f, s:o, s:o, s:o}", "made", (json_int_t)s->made, "kl_coef", s->kl_coef,
	                      "non_score", s->non_score, "advantage", numbers(s->advantage, n), "returns",
	                      numbers(s->returns, n), "value", numbers(s->value, n));
	char *path = io_join(dir, PPO_FILE);
	int status = jsonx_write_file(path, j, e);
	mem_free(path);
	json_decref(j);
	return status;
}

static int ppo_load(const struct objective_run *o, long step, const char *dir, struct err *e)
{
	struct state *s = state_of(o);
	const struct rollout *r = group_rollout(o);

	s->made = -1;
	if (group_load(o, step, dir, e) < 0)
		return -1;
	size_t n = step % group_repeats(o->options) ? r->n * (size_t)r->o.max_completion_length : 0;
	char *path = io_join(dir, PPO_FILE);
	json_t *j = jsonx_load_file(path, e);
	int status = j ? 0 : -1;
	if (j && (take(s->advantage, n, json_object_get(j, "advantage")) < 0 ||
	          take(s->returns, n, json_object_get(j, "returns")) < 0 ||
	          take(s->value, n, json_object_get(j, "value")) < 0))
		status = err_set(e, "%s: it is damaged", path);
	if (!status) {
		s->kl_coef = json_number_value(json_object_get(j, "kl_coef"));
		s->non_score = json_number_value(json_object_get(j, "non_score"));
		s->made = n ? (long)json_integer_value(json_object_get(j, "made")) : -1;
	}
	mem_free(path);
	json_decref(j);
	return status;
}

const struct objective objective_ppo = {
	.name = "ppo",
	.summary = "its own answers, by what they are worth beside a value learnt too",
	.rate = 0.5,
	.opts = ppo_opts,
	.options_size = sizeof(struct ppo),
	.roles = group_roles,
	.columns = columns,
	.metrics = metrics,
	.check = ppo_check,
	.open = ppo_open,
	.close = ppo_close,
	.params = ppo_params,
	.maxima = group_maxima,
	.repeats = group_repeats,
	.plan = ppo_plan,
	.documents = ppo_documents,
	.record = ppo_record,
	.weight = group_weight,
	.fill = ppo_fill,
	.passed = ppo_passed,
	.tell = group_tell,
	.evaluate = group_evaluate,
	.save = ppo_save,
	.load = ppo_load,
	.loss = ppo_loss,
};
