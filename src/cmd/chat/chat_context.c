/* chat_context: an instruction and examples before a conversation. Examples that are the same for all questions are
 * read once; those that are chosen by the question stand before the whole conversation too, chosen anew for each, so
 * that all of it is read anew. */
#include "base/log.h"
#include "base/mem.h"
#include "cmd/chat/chat_parts.h"
#include "data/chat.h"

static json_t *question(const char *text) { return json_pack("{s:s, s:s}", "role", "user", "content", text); }

/* Tokens of a question after the conversation so far, and after what stands before it where that is wanted. */
static int count_question(const struct chat *c, const char *text, const json_t *before, double *tokens, struct err *e)
{
	const struct text_codec codec = { c->l.model.tokenizer, c->l.chat };
	json_t *own = json_copy(c->messages), *all;
	struct tokens ids = { 0 };
	struct buf written = BUF_INIT;

	json_array_append_new(own, question(text));
	all = before ? fewshot_join(c->fewshot, before, own) : json_incref(own);
	int status = chat_prompt(&codec, &(struct conversation){ .messages = all }, &ids, &written, e);
	*tokens = (double)ids.n;
	json_decref(own);
	json_decref(all);
	tokens_release(&ids);
	buf_release(&written);
	return status;
}

static int count_added(struct chat *c, const char *text, const json_t *before, double *with, double *added,
                       struct err *e)
{
	double without;

	if (count_question(c, text, before, with, e) < 0 || count_question(c, text, NULL, &without, e) < 0)
		return -1;
	*added = *with - without;
	return 0;
}

static int make(struct chat *c, struct err *e) { return in_context_make(&c->context, 0, 0, NULL, &c->fewshot, e); }

/* As for a question of the examples: what a question's will be like. */
static int typical(struct chat *c, json_t **before, struct err *e)
{
	*before = fewshot_turns(c->fewshot, &c->context.examples.items[0], e);
	if (!*before)
		return -1;
	if (fewshot_select_of(c->o->context.select) != FEWSHOT_RANDOM_EACH)
		return 0;
	fewshot_free(c->fewshot); /* the first draw is the first question's */
	c->fewshot = NULL;
	return make(c, e);
}

int chat_context_begin(struct chat *c, struct err *e)
{
	json_t *before = NULL;
	double with;

	if (in_context_open(&c->context, &c->o->context, c->app, &c->l, true, true, e) < 0 || make(c, e) < 0)
		return -1;
	c->chooses = !fewshot_is_fixed(c->fewshot);
	int status = c->chooses ? typical(c, &before, e) : (before = fewshot_turns(c->fewshot, NULL, e)) ? 0 : -1;
	if (status == 0)
		status = count_added(c, "a", before, &with, &c->added_tokens, e);
	if (status == 0 && with >= (double)c->size.n_ctx)
		status = err_set(e, "what stands before the conversation has %.0f tokens, the context holds %d",
		                 c->added_tokens, c->size.n_ctx);
	if (status == 0 && c->chooses)
		log_say("examples are chosen for each question, of about %.0f tokens: the conversation is read anew "
		        "after them", c->added_tokens);
	else if (status == 0)
		log_say("what stands before the conversation adds %.0f tokens to it, which are read once",
		        c->added_tokens);
	if (status == 0 && !c->chooses)
		c->before = json_incref(before);
	json_decref(before);
	return status;
}

int chat_context_choose(struct chat *c, const char *text, struct err *e)
{
	double with, added;

	if (!c->chooses)
		return 0;
	struct row row = { .json = json_pack("{s:[o]}", "messages", question(text)), .file = "question" };
	json_t *before = fewshot_turns(c->fewshot, &row, e);
	json_decref(row.json);
	if (!before)
		return -1;
	json_decref(c->before);
	c->before = before;
	if (count_added(c, text, before, &with, &added, e) < 0)
		return -1;
	c->added_tokens = (c->added_tokens * (double)c->chosen + added) / (double)(c->chosen + 1);
	c->chosen++;
	return 0;
}
