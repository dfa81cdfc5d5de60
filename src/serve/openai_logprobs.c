/* openai_logprobs: what a reply says of tokens' probabilities, in the forms of chat and of completions; of a prompt's
 * own tokens too (echo), which are scored before the answer, in parts, so that other answers go on between these. */
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "infer/scorer.h"
#include "serve/openai_parts.h"

static json_t *piece_of(const struct ask *a, int32_t id, struct buf *bytes)
{
	buf_clear(bytes);
	tokenizer_piece(a->s->o.model->tokenizer, id, bytes);
	return jsonx_text(buf_str(bytes), bytes->len);
}

static json_t *token_json(const struct ask *a, int32_t id, double logprob)
{
	struct buf bytes = BUF_INIT;
	json_t *list = json_array(), *token = piece_of(a, id, &bytes);

	for (size_t i = 0; i < bytes.len; i++)
		json_array_append_new(list, json_integer((unsigned char)buf_str(&bytes)[i]));
	buf_release(&bytes);
	return json_pack("{s:o, s:o, s:o}", "token", token, "logprob", jsonx_number(logprob), "bytes", list);
}

static void likely(struct ask *a, const float *logits, int32_t *ids)
{
	if (!a->work.logit)
		sampler_init(&a->work, (size_t)a->s->o.model->config.V);
	sampler_top(&a->work, logits, ids, (size_t)a->top_logprobs);
}

/* As chat has it. */
static json_t *chat_token(struct ask *a, int32_t id, const float *logits)
{
	double sum = logits_log_sum(logits, (size_t)a->s->o.model->config.V);
	json_t *j = token_json(a, id, logits[id] - sum), *top = json_array();
	int32_t ids[32];

	if (a->top_logprobs)
		likely(a, logits, ids);
	for (int i = 0; i < a->top_logprobs; i++)
		json_array_append_new(top, token_json(a, ids[i], logits[ids[i]] - sum));
	json_object_set_new(j, "top_logprobs", top);
	return j;
}

/* As completions have it: {piece: logprob} of the likely ones and of the token itself, whose own is given. */
static json_t *legacy_top(struct ask *a, int32_t id, double logprob, const float *logits)
{
	struct buf bytes = BUF_INIT;
	json_t *top = json_object();
	int32_t ids[33];

	if (a->top_logprobs)
		likely(a, logits, ids);
	ids[a->top_logprobs] = id;
	for (int i = 0; i <= a->top_logprobs; i++) {
		json_t *piece = piece_of(a, ids[i], &bytes);
		json_object_set_new(top, json_string_value(piece),
		                    jsonx_number(logprob + ((double)logits[ids[i]] - (double)logits[id])));
		json_decref(piece);
	}
	buf_release(&bytes);
	return top;
}

size_t openai_characters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xC0) != 0x80;
	return n;
}

static json_t *legacy_tokens(void)
{
	return json_pack("{s:[], s:[], s:[], s:[]}", "tokens", "token_logprobs", "top_logprobs", "text_offset");
}

static void legacy_add(struct choice *c, int32_t id, const float *logits)
{
	struct ask *a = c->ask;
	struct buf bytes = BUF_INIT;
	json_t *piece = piece_of(a, id, &bytes);
	double logprob = logits_logprob(logits, (size_t)a->s->o.model->config.V, id);

	json_array_append_new(json_object_get(c->tokens, "text_offset"), json_integer((json_int_t)c->offset));
	c->offset += openai_characters(json_string_value(piece));
	json_array_append_new(json_object_get(c->tokens, "tokens"), piece);
	json_array_append_new(json_object_get(c->tokens, "token_logprobs"), jsonx_number(logprob));
	json_array_append_new(json_object_get(c->tokens, "top_logprobs"), legacy_top(a, id, logprob, logits));
	buf_release(&bytes);
}

void choice_token(struct choice *c, int32_t id, const float *logits)
{
	if (!c->tokens)
		c->tokens = c->ask->chat ? json_array() : legacy_tokens();
	if (c->ask->chat)
		json_array_append_new(c->tokens, chat_token(c->ask, id, logits));
	else
		legacy_add(c, id, logits);
}

/* --- a prompt's own --- */

/* The prompts' tokens while they are scored, [n_prompts] each. */
struct echo {
	struct ask *ask;
	struct document *docs;
	const struct document **list;
	json_t **logprob, **top;      /* lists, by token */
	size_t done;                  /* prompts that are */
};

static uint32_t record(void *ctx, struct graph *g, uint32_t hidden)
{
	(void)ctx;
	return graph_logits(g, hidden);
}

static void scored(void *ctx, struct batch *b, const struct document *const *docs, const float *z)
{
	const struct openai *s = ctx;
	struct echo *x = s->echo;
	size_t V = (size_t)s->o.model->config.V;

	for (int32_t i = 0; i < b->n_labels; i++) {
		size_t prompt = (size_t)(docs[b->label_doc[i]] - x->docs);
		size_t at = (size_t)b->pos[b->target_row[b->label_target[i]]] + 1;
		const float *row = z + (size_t)b->label_target[i] * V;
		double logprob = logits_logprob(row, V, b->label_token[i]);
		json_array_set_new(x->logprob[prompt], at, jsonx_number(logprob));
		json_array_set_new(x->top[prompt], at, legacy_top(x->ask, b->label_token[i], logprob, row));
	}
}

static struct echo *echo_new(struct ask *a)
{
	struct echo *x = mem_alloc(sizeof(*x));

	*x = (struct echo){ .ask = a };
	x->docs = mem_array(a->n_prompts, sizeof(*x->docs));
	x->list = mem_array(a->n_prompts, sizeof(struct document *));
	x->logprob = mem_array(a->n_prompts, sizeof(json_t *));
	x->top = mem_array(a->n_prompts, sizeof(json_t *));
	for (size_t i = 0; i < a->n_prompts; i++) {
		x->docs[i] = (struct document){ .ids = a->prompts[i].id,
			                        .n = (int32_t)a->prompts[i].n,
			                        .file = "prompt",
			                        .line = i,
			                        .adapter = a->adapter };
		x->docs[i].learn = mem_array(a->prompts[i].n, 1);
		x->list[i] = &x->docs[i];
		x->logprob[i] = json_array();
		x->top[i] = json_array();
		for (size_t k = 0; k < a->prompts[i].n; k++) {
			json_array_append_new(x->logprob[i], json_null());
			json_array_append_new(x->top[i], json_null());
		}
	}
	return x;
}

void ask_echo_free(struct ask *a)
{
	struct echo *x = a->scoring;

	for (size_t i = 0; x && i < a->n_prompts; i++) {
		mem_free(x->docs[i].learn);
		json_decref(x->logprob[i]);
		json_decref(x->top[i]);
	}
	if (x) {
		mem_free(x->docs);
		mem_free(x->list);
		mem_free(x->logprob);
		mem_free(x->top);
	}
	mem_free(x);
	a->scoring = NULL;
}

/* The prompt's tokens, as a choice tells them before its own. */
static void tell_prompt(const struct echo *x, struct choice *c)
{
	size_t prompt = (size_t)(c->prompt - x->ask->prompts);
	struct buf bytes = BUF_INIT;

	c->tokens = legacy_tokens();
	json_array_extend(json_object_get(c->tokens, "token_logprobs"), x->logprob[prompt]);
	json_array_extend(json_object_get(c->tokens, "top_logprobs"), x->top[prompt]);
	c->offset = 0;
	for (size_t i = 0; i < c->prompt->n; i++) {
		json_t *piece = piece_of(x->ask, c->prompt->id[i], &bytes);
		json_array_append_new(json_object_get(c->tokens, "text_offset"), json_integer((json_int_t)c->offset));
		c->offset += openai_characters(json_string_value(piece));
		json_array_append_new(json_object_get(c->tokens, "tokens"), piece);
	}
	buf_release(&bytes);
}

/* What scores with the adapters that there are now. */
static int scorer_of(struct openai *s, struct err *e)
{
	struct scorer_options how = { .record = record, .scored = scored, .next_tokens = true, .ctx = s,
		                      .max_length = s->o.context, .max_tokens = s->o.context };
	int64_t age = s->o.adapters ? adapters_age(s->o.adapters) : 0;

	if (s->scorer && s->scorer_age != age) {
		scorer_free(s->scorer);
		s->scorer = NULL;
	}
	s->scorer_age = age;
	if (s->scorer || scorer_new(&s->scorer, s->o.model, openai_overlay(s), s->o.device, &how, e) == 0)
		return 0;
	s->scorer = NULL;
	return -1;
}

int ask_echo(struct ask *a, struct err *e)
{
	struct openai *s = a->s;
	size_t tokens;

	if (!a->scoring)
		a->scoring = echo_new(a);
	struct echo *x = a->scoring;
	size_t end = readout_part(x->docs, x->done, a->n_prompts, &tokens);
	s->echo = x;
	int status = scorer_of(s, e);
	if (status == 0)
		status = scorer_run(s->scorer, x->list + x->done, end - x->done, true, NULL, NULL, NULL, NULL, e);
	s->echo = NULL;
	x->done = end;
	if (status < 0)
		return -1;
	if (end < a->n_prompts)
		return 1;
	for (size_t i = 0; i < a->n_choices; i++)
		tell_prompt(x, &a->choices[i]);
	ask_echo_free(a);
	return 0;
}
