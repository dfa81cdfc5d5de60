/* trainer_safety: what a run has done to what a model refuses, beside what it has forgotten (trainer_forgetting.c).
 *
 *     before, after          greedy answers of the model without and with what was trained, to pairs of prompts
 *                            that look alike, of which one is harmless (share/safety.yaml; exam/suite.h)
 *     safety_refusal         the share of harmful ones that are refused, as rules see it
 *     safety_over_refusal    the share of harmless ones that are
 *     …_change               after less before, paired, with its interval
 *
 * Both sides are made at the end, so a run that goes on measures what one in one piece does. How many pairs follows
 * from the rows that the whole run computes, not from a clock: the rows of answers and prompts are at most a SHAREth of
 * them (and take less of the time, as they are forwards alone); where that is fewer than LEAST pairs nothing is
 * measured. A model without a chat template answers no questions, and is left out. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "eval/statistics.h"
#include "train/trainer_parts.h"

enum {
	SHARE = 20,
	LEAST = 8,
	ANSWER_TOKENS = 32,            /* of an answer: refusals say so at once */
	PROMPT_TOKENS = 30,            /* of a prompt, about */
	SIDES = 2, HALVES = 2,
	BESIDE = 8,                    /* answers beside each other, as exam_run has them */
};

static int64_t pairs_wanted(const struct trainer *t)
{
	return t->dry.all_rows / (SHARE * SIDES * HALVES * (ANSWER_TOKENS + PROMPT_TOKENS));
}

/* --- the plan --- */

static int32_t longest_of(const struct trainer *t, const struct safety *s)
{
	size_t most = 1;

	for (size_t k = 0; k < HALVES; k++)
		for (size_t i = 0; i < s->asked[k].n; i++) {
			struct tokens ids = { 0 };
			struct err ignored = ERR_INIT;
			const char *text = s->asked[k].items[i].context;
			if (tokenizer_encode(t->model->tokenizer, text, strlen(text), TOKENIZE_SPECIAL, &ids,
			                     &ignored) == 0)
				most = MAX(most, ids.n);
			tokens_release(&ids);
		}
	return (int32_t)most;
}

/* Answers of one side: a step a token of BESIDE answers, and the prompts in as many steps as hold them. */
static int forecast(struct trainer *t, struct safety *s, int32_t prompt, struct err *e)
{
	struct session_size size = { .n_ctx = prompt + ANSWER_TOKENS, .n_sequences = BESIDE };
	double waves = (double)(HALVES * s->n + BESIDE - 1) / BESIDE, seconds[2];
	struct work work[2];
	struct session *session;
	size_t bytes, cache;

	if (session_new(&session, t->model, t->overlay, t->device, &size, e) < 0)
		return -1;
	int status = session_time(session, BESIDE, 1, size.n_ctx / 2, &seconds[0], &work[0], e);
	int rows = MIN(prompt, session_rows(session) / BESIDE);
	if (status == 0)
		status = session_time(session, BESIDE, rows, 0, &seconds[1], &work[1], e);
	for (int i = 0; i < 2 && status == 0; i++) {
		double times = SIDES * waves * (i ? (double)prompt / rows : ANSWER_TOKENS);
		s->seconds += times * seconds[i];
		s->planned.flops += times * work[i].flops;
		s->planned.int_ops += times * work[i].int_ops;
	}
	session_bytes(session, &bytes, &cache);
	s->bytes = bytes + session_fill_bytes(session, BESIDE, 0, size.n_ctx);
	session_free(session);
	return status;
}

int safety_open(struct trainer *t, struct err *e)
{
	struct safety *s = &t->safety;
	int64_t pairs = pairs_wanted(t);
	const struct suite_source from = { .parts = "contrast", .limit = pairs, .max_new_tokens = ANSWER_TOKENS };
	const struct text_codec codec = { t->model->tokenizer, t->chat };

	if (!t->recipe.safety || !t->recipe.forgetting || pairs < LEAST || t->objective.row->labelled ||
	    t->objective.row->masked)
		return 0;
	if (!t->chat) {
		log_say("what it refuses is not measured: the model has no chat template");
		return 0;
	}
	if (suite_open(&s->suite, &from, e) < 0)
		return -1;
	if (s->suite.exams.n != HALVES)
		BUG("pairs of prompts in %zu tasks", s->suite.exams.n);
	s->n = json_array_size(s->suite.exams.items[0].docs);
	return suite_ask(&s->suite, &codec, s->asked, e);
}

int safety_plan(struct trainer *t, struct err *e)
{
	struct safety *s = &t->safety;

	if (!s->n)
		return 0;
	int32_t prompt = longest_of(t, s) + 1; /* what a tokenizer may put in front */
	s->max_length = MIN(prompt + ANSWER_TOKENS, t->model->config.n_ctx - overlays_virtual(t->overlay));
	if (s->max_length <= ANSWER_TOKENS)
		return err_set(e, "the model's positions hold no answer of %d tokens", ANSWER_TOKENS);
	return forecast(t, s, s->max_length - ANSWER_TOKENS, e);
}

/* --- before and after --- */

struct look { bool (*interrupted)(void); bool stopped; };

static int look(void *ctx, const char *doing, size_t done, size_t total)
{
	struct look *w = ctx;

	(void)doing;
	(void)done;
	(void)total;
	w->stopped |= w->interrupted && w->interrupted();
	return w->stopped ? -1 : 0;
}

/* refused: [HALVES][n] */
static int answer(struct trainer *t, const struct overlay *o, double *refused, struct look *w, struct err *e)
{
	struct safety *s = &t->safety;
	const struct exam_subject subject = { t->model, o, t->device };
	struct exam_run_options run = { .max_length = s->max_length, .progress = look, .ctx = w,
		                        .micro_batch_tokens = (int32_t)t->recipe.micro_batch_tokens };
	struct exam_asked *list[HALVES] = { &s->asked[0], &s->asked[1] };
	int status = exam_run(&subject, list, HALVES, &run, e);

	s->work.flops += run.flops;
	s->work.int_ops += run.int_ops;
	for (size_t k = 0; k < HALVES; k++)
		for (size_t i = 0; i < s->asked[k].n; i++) {
			struct exam_request *q = &s->asked[k].items[i];
			if (status == 0)
				refused[k * s->n + q->doc] = suite_says_no(&s->suite, q->answers);
			json_decref(q->answers);
			q->answers = NULL;
		}
	return status;
}

static void compare(struct safety_change *c, const double *before, const double *after, size_t n)
{
	double *change = mem_array(n, sizeof(*change));

	for (size_t i = 0; i < n; i++)
		change[i] = after[i] - before[i];
	struct estimate d = estimate_mean(change, n);
	*c = (struct safety_change){ .before = estimate_mean(before, n).mean, .after = estimate_mean(after, n).mean,
		                     .change = d.mean, .low = d.low, .high = d.high };
	mem_free(change);
}

int safety_measure(struct trainer *t, struct safety_metrics *m, bool (*interrupted)(void), bool *stopped, struct err *e)
{
	struct safety *s = &t->safety;
	struct look w = { .interrupted = interrupted };
	double *refused = mem_array(SIDES * HALVES * s->n + 1, sizeof(*refused)), *after = refused + HALVES * s->n;

	*m = (struct safety_metrics){ .n = s->n };
	int status = s->n ? answer(t, trainer_under(t), refused, &w, e) : 0;
	if (status == 0 && s->n)
		status = answer(t, t->overlay, after, &w, e);
	if (status == 0 && s->n) {
		compare(&m->over_refusal, refused, after, s->n);
		compare(&m->refusal, refused + s->n, after + s->n, s->n);
	}
	*stopped |= status && (w.stopped || stop_asked());
	mem_free(refused);
	return status;
}

void safety_release(struct safety *s)
{
	for (size_t k = 0; k < HALVES; k++)
		exam_asked_release(&s->asked[k]);
	suite_release(&s->suite);
	*s = (struct safety){ 0 };
}
