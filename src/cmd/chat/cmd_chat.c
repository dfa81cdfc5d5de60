/* chat: a conversation with a model, at a terminal or from a pipe. Each turn the model's template writes the whole
 * conversation; only the tokens that are not yet in the cache are computed. At a terminal Ctrl-C stops an answer, which
 * stays as far as it came. From a pipe every line is a question or a command, and the first that fails ends the
 * chat. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/env.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/adapted_options.h"
#include "cmd/metering.h"
#include "data/chat.h"
#include "cmd/chat/chat_parts.h"
#include "model/new_tokens.h"

extern const struct command cmd_chat;

enum { TURN_TOKENS = 64 };             /* of a question, for plans */

static const struct opt chat_opts[] = {
	OPT_GROUP("Conversation"),
	OPT_LIST("adapter", struct chat_options, adapters, "DIR",
	         "a LoRA in PEFT's form on top of the model; several can be compared, the first one answers"),
	OPT_STRING("system", struct chat_options, system, NULL, "TEXT",
	           "the system's turn that the conversation begins with"),
	{ OPT_TYPE_INT, "ctx-size", "c", offsetof(struct chat_options, ctx_size), "0", 0, 1 << 24, NULL, "N",
	  "tokens of the context; 0: all that the model was made for" },
	OPT_FLAG("history", struct chat_options, history, "true",
	         "remember the lines that were typed in a terminal, for the next time"),
	IN_CONTEXT_TURN_OPTS(struct chat_options, context, ""),
	SOURCES_OPTS(struct chat_options, documents),
	CITATIONS_OPTS(struct chat_options, documents),
	SAMPLING_OPTS(struct chat_options, sampling),
	CONSTRAINING_OPTS(struct chat_options, constraint),
	DRAFT_OPTS(struct chat_options, draft),
	OPT_GROUP("Arithmetic"),
	COMPUTE_OPT(struct chat_options, compute, "auto"),
	FOUR_BIT_OPTS(struct chat_options, four_bit),
	CACHE_OPTS(struct chat_options, cache),
	GUARD_OUTPUT_OPTS(struct chat_options, guard),
	GUARD_PERPLEXITY_OPTS("guard-", struct chat_options, guard.models),
	COMMON_OPTS(struct chat_options, common),
	OPT_END
};

static volatile sig_atomic_t stopped; /* Ctrl-C while an answer grows */

static void note_stop(int number)
{
	(void)number;
	stopped = 1;
}

/* --- speakers --- */

static struct speaker *add_speaker(struct chat *c, const char *name)
{
	struct speaker *v = mem_alloc(sizeof(*v));

	v->name = mem_strdup(name);
	c->speakers = mem_grow(c->speakers, c->n_speakers + 1, sizeof(struct speaker *));
	return c->speakers[c->n_speakers++] = v;
}

int chat_voice(struct chat *c, const char *adapter, size_t *index, struct err *e)
{
	struct adapter loaded;

	for (*index = 0; *index < c->n_speakers; ++*index)
		if (!strcmp(c->speakers[*index]->name, adapter))
			return 0;
	if (adapter_load(&loaded, adapter, &c->l.model, e) < 0)
		return -1;
	add_speaker(c, adapter)->adapter = loaded;
	return 0;
}

static int give_session(struct chat *c, struct speaker *v, struct err *e)
{
	const struct overlay *o = v == c->speakers[0] ? NULL : &v->adapter.overlay;

	return v->session ? 0 : session_new(&v->session, &c->l.model, o, c->app->device, &c->size, e);
}

/* --- answers --- */

static int show_text(void *ctx, const char *text, size_t n)
{
	const struct chat *c = ctx;
	if (!c->app->json && !c->o->guard.outputs)
		app_text(text, n);
	return stopped;
}

/* Only now, with --guard-outputs. */
static int show_guarded(struct chat *c, struct generation *g, struct err *e)
{
	if (guarding_answer(&c->guarding, "the answer", g, e) < 0)
		return -1;
	if (!c->app->json)
		app_text(buf_str(&g->text), g->text.len);
	return 0;
}

static void put_turn(const struct chat *c, const struct speaker *v, const struct turn *t, json_t *gas)
{
	json_t *j =
		json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:i}", "text",
	                  json_stringn(buf_str(&t->g.text), t->g.text.len), "finish_reason", finish_name(t->g.finish),
	                  "prompt_tokens", (json_int_t)t->prompt_tokens, "kept", (json_int_t)t->kept, "computed",
	                  (json_int_t)t->computed, "new_tokens", (json_int_t)t->g.ids.n, "context_used",
	                  (json_int_t)session_length(v->session, 0), "context", session_limit(v->session));
	json_object_set_new(j, "adapter", v == c->speakers[0] ? json_null() : json_string(v->name));
	json_object_set_new(j, "prompt_seconds", json_real(t->g.prompt_seconds));
	json_object_set_new(j, "tokens_per_second", jsonx_number(generation_rate(&t->g)));
	if (c->drafting.drafter) {
		json_object_set_new(j, "drafted_tokens", json_integer((json_int_t)t->g.guessed));
		json_object_set_new(j, "accepted_tokens", json_integer((json_int_t)t->g.right));
	}
	json_object_update(j, gas);
	if (c->found)
		json_object_set(j, "sources", c->found);
	if (c->found)
		answer_gas_put(&c->gas, 1, j);
	app_json(j);
	json_decref(j);
}

static void tell_turn(const struct speaker *v, const struct turn *t)
{
	const struct generation *g = &t->g;
	const char *how = g->finish == FINISH_CANCELLED ? ", stopped" :
	                  g->finish == FINISH_STOP      ? "" :
	                  g->context_full               ? ", the context is full" :
	                                                  ", cut at --max-new-tokens";
	char guesses[80];

	if (g->text.len == 0 || g->text.data[g->text.len - 1] != '\n')
		app_print("\n");
	drafting_text(g->guessed, g->right, guesses);
	log_say("[%zu tokens, %.1f tokens/s%s; context %d of %d%s]", g->ids.n, generation_rate(g), guesses,
	        session_length(v->session, 0), session_limit(v->session), how);
	if (g->context_full)
		log_warn("the context of %d tokens is full, the answer was cut. Nothing is lost: /save FILE keeps the "
		         "conversation, /reset begins anew",
		         session_limit(v->session));
}

static void close_turn(struct chat *c, struct metering_request *request, const struct turn *t, json_t *gas)
{
	const struct generation *g = &t->g;

	c->read_tokens += t->computed;
	c->operations += g->flops + g->int_ops;
	c->int_ops += g->int_ops;
	metering_request_close(request,
	                    &(struct request_counts){ (int64_t)c->turns, (int64_t)t->computed, (int64_t)g->ids.n,
	                                              g->flops, g->int_ops, g->share },
	                    gas);
	metering_tick();
}

/* The conversation with what stands before it; new. */
static json_t *whole_talk(const struct chat *c)
{
	return c->before ? fewshot_join(c->fewshot, c->before, c->messages) : json_incref(c->messages);
}

/* The conversation's prompt with the last question's sources, but for one (n: all). */
static int encode_without(struct chat *c, size_t which, struct tokens *ids, struct err *e)
{
	const struct text_codec codec = { c->l.model.tokenizer, c->l.chat };
	json_t *own = json_copy(c->messages), *all;
	struct buf with = BUF_INIT, text = BUF_INIT;
	int status = sources_text_without(&c->sources, buf_str(&c->question), c->question.len, which, &with, e);

	json_array_set_new(own, json_array_size(own) - 1,
	                   json_pack("{s:s, s:o}", "role", "user", "content", json_stringn(buf_str(&with), with.len)));
	all = c->before ? fewshot_join(c->fewshot, c->before, own) : json_incref(own);
	if (status == 0)
		status = chat_prompt(&codec, &(struct conversation){ .messages = all, .tools = c->tools,
		                                                     .more = c->variables },
		                     ids, &text, e);
	json_decref(own);
	json_decref(all);
	buf_release(&with);
	buf_release(&text);
	return status;
}

static int cite(struct chat *c, const struct speaker *v, const struct tokens *answer, struct grounding *g,
                struct err *e)
{
	size_t n = c->sources.n_hits;
	struct tokens *prompts = mem_array(n + 1, sizeof(*prompts));
	const struct overlay *o = v == c->speakers[0] ? NULL : &v->adapter.overlay;
	struct meter_span span;
	int status = 0;

	metering_open_span(&span);
	for (size_t i = 0; i <= n && n && status == 0; i++)
		status = encode_without(c, i ? i - 1 : n, &prompts[i], e);
	if (status == 0)
		status = citations_measure(g, &c->l.model, o, c->app->device, prompts, n, answer, e);
	c->operations += g->flops + g->int_ops;
	c->int_ops += g->int_ops;
	answer_gas_add(&c->gas, PART_CITATIONS, &span);
	for (size_t i = 0; i <= n; i++)
		tokens_release(&prompts[i]);
	mem_free(prompts);
	return status;
}

int chat_answer(struct chat *c, struct speaker *v, struct buf *text, struct err *e)
{
	struct grounding grounding = { 0 };
	struct meter_span span;
	struct turn t = { 0 };
	struct text_codec codec = { c->l.model.tokenizer, c->l.chat };
	struct conversation talk = { .messages = whole_talk(c), .tools = c->tools, .more = c->variables };

	stopped = 0;
	metering_open_span(&span);
	struct metering_request *request = metering_request_open();
	int status = give_session(c, v, e);
	if (status == 0 && c->last && c->last != v && session_same_keys(v->session, c->last->session))
		/* this adapter's keys are the last one's: none is computed twice */
		session_copy(v->session, 0, c->last->session, 0);
	if (status == 0)
		status = chat_turn(v->session, &codec, &talk, &c->generate, &t, e);
	size_t new_tokens = t.g.ids.n;
	if (status == 0 && c->o->guard.outputs)
		status = show_guarded(c, &t.g, e);
	if (status == 0)
		answer_gas_answer(&c->gas, &span, t.g.prompt_seconds, t.g.seconds);
	bool cites = status == 0 && c->found && c->o->documents.citations && t.g.finish != FINISH_CANCELLED;
	if (cites)
		status = cite(c, v, &t.g.ids, &grounding, e);
	if (status == 0) {
		c->turns++;
		c->last = v;
		c->new_tokens += new_tokens;
		c->prompt_tokens = t.prompt_tokens;
		c->kept = t.kept;
		c->computed = t.computed;
		json_t *gas = json_object();
		close_turn(c, request, &t, gas);
		request = NULL;
		if (cites)
			citations_put(&grounding, &c->o->documents, c->found, gas);
		if (c->app->json)
			put_turn(c, v, &t, gas);
		else
			tell_turn(v, &t);
		if (!c->app->json && c->found)
			sources_show(c->found);
		if (!c->app->json && cites)
			citations_show(&grounding, &c->o->documents, c->found);
		if (!c->app->json && c->found)
			answer_gas_show(&c->gas, 1);
		json_decref(gas);
		for (size_t i = 0; i < t.g.text.len; i++) /* no row may have a byte of zero */
			buf_add(text, t.g.text.data[i] ? &t.g.text.data[i] : "\uFFFD",
			        t.g.text.data[i] ? 1 : strlen("\uFFFD"));
	} else if (v->session && t.prompt_tokens >= (size_t)session_limit(v->session)) {
		bool more = c->size.n_ctx < c->l.model.config.n_ctx;
		char *whole = mem_printf("%s. Nothing is lost: /save FILE keeps the conversation, /reset begins anew%s",
		                         e->msg, more ? ", --ctx-size gives more room" : "");
		status = err_set(e, "%s", whole);
		mem_free(whole);
	}
	json_decref(talk.messages);
	mem_free(request);
	citations_release(&grounding);
	generation_release(&t.g);
	return status;
}

void chat_push(struct chat *c, const char *role, const char *text, size_t n)
{
	json_array_append_new(c->messages, json_pack("{s:s, s:o}", "role", role, "content", json_stringn(text, n)));
}

void chat_reset(struct chat *c)
{
	json_array_clear(c->messages);
	json_decref(c->tools);
	json_decref(c->variables);
	c->tools = c->variables = NULL;
	if (c->o->system)
		chat_push(c, "system", c->o->system, strlen(c->o->system));
}

int chat_push_question(struct chat *c, const char *text, struct err *e)
{
	struct buf with = BUF_INIT;

	if (chat_context_choose(c, text, e) < 0)
		return -1;
	if (!c->sources.index) {
		chat_push(c, "user", text, strlen(text));
		return 0;
	}
	json_decref(c->found);
	buf_clear(&c->question);
	buf_adds(&c->question, text);
	c->gas = (struct answer_gas){ 0 };
	struct meter_span span;
	metering_open_span(&span);
	int status = sources_text(&c->sources, text, strlen(text), &with, &c->found, e);
	answer_gas_add(&c->gas, PART_RETRIEVAL, &span);
	if (status == 0)
		chat_push(c, "user", buf_str(&with), with.len);
	buf_release(&with);
	return status;
}

/* A question: answered by the current speaker, and both are part of the conversation then; a question that could not be
 * answered is not. */
static int chat_ask(struct chat *c, const char *text, struct err *e)
{
	struct buf answer = BUF_INIT, other = BUF_INIT;
	int guarded = guarding_text(&c->guarding, "the question", text, strlen(text), &other, e);

	guarded = guarded < 0 ? -1 : chat_push_question(c, other.len ? other.data : text, e);
	buf_release(&other);
	if (guarded < 0)
		return -1;
	int status = chat_answer(c, c->speakers[c->current], &answer, e);
	if (status == 0)
		chat_push(c, "assistant", buf_str(&answer), answer.len);
	else
		json_array_remove(c->messages, json_array_size(c->messages) - 1);
	buf_release(&answer);
	return status;
}

/* --- the chat --- */

/* What people type who come from other programs; a question that is one of these words alone is none. */
static bool is_farewell(const char *text)
{
	static const char *const words[] = { "exit", "quit", "exit()", "quit()", ":q", ":q!", "bye" };
	size_t n = strlen(text);

	while (n && strchr(" \t\r\n", text[n - 1]))
		n--;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strlen(words[i]) == n && !strncasecmp(words[i], text, n))
			return true;
	return false;
}

/* One line of the person's. */
static int take_line(struct chat *c, const struct buf *line, struct err *e)
{
	const char *text = buf_str(line);
	size_t bad;

	if (!utf8_valid(text, line->len, &bad))
		return err_set(e, "not UTF-8: the byte at offset %zu", bad);
	if (memchr(text, 0, line->len))
		return err_set(e, "a line with a byte of zero");
	if (!text[strspn(text, " \t\r\n")])
		return 0;
	if (is_farewell(text + strspn(text, " \t"))) {
		c->leave = true;
		return 0;
	}
	if (text[0] == '/' && text[1] != '/')
		return chat_command(c, text, e);
	return chat_ask(c, text + (text[0] == '/'), e);
}

static int chat_turn_on(struct chat *c)
{
	struct buf line = BUF_INIT;
	bool terminal = line_edit_terminal(c->lines);
	int status = EXIT_DONE;

	while (!c->leave && status == EXIT_DONE) {
		struct err e = ERR_INIT;
		enum line what = line_edit_read(c->lines, "> ", &line);
		if (what == LINE_END)
			break;
		if (what == LINE_INTERRUPTED)
			log_say("Ctrl-D or /quit leaves, /help says what else there is");
		else if (take_line(c, &line, &e) < 0)
			status = app_fail(&e);
		if (terminal)
			status = EXIT_DONE; /* a person tries again */
	}
	buf_release(&line);
	return status;
}

static void put_summary(const struct chat *c)
{
	json_t *j = json_pack("{s:I, s:I, s:I, s:I}", "turns", (json_int_t)c->turns, "new_tokens",
	                      (json_int_t)c->new_tokens, "messages", (json_int_t)json_array_size(c->messages),
	                      "peak_rss_bytes", (json_int_t)mem_rss_peak());
	metering_count((int64_t)c->read_tokens, (int64_t)c->new_tokens, -1, c->operations, c->int_ops);
	if (c->fewshot) {
		json_object_set_new(j, "num_fewshot", json_integer(c->o->context.num));
		json_object_set_new(j, "added_tokens", jsonx_number(c->added_tokens));
	}
	app_summary(c->app, j);
}

static char *history_path(void) { return env_state_file("chat_history"); }

static int begin(struct chat *c, struct err *e)
{
	const struct chat_options *o = c->o;
	int limit = c->l.model.config.n_ctx;
	size_t index, bad;

	if (loaded_chat(&c->l, e) < 0)
		return -1;
	if (!c->l.chat)
		return err_set(e, "%s has no chat template; kungfu generate continues a text", c->l.model.source.path);
	if (o->system && !utf8_valid(o->system, strlen(o->system), &bad))
		return err_set(e, "--system: not UTF-8: the byte at offset %zu", bad);
	if (o->ctx_size > limit)
		return err_set(e, "--ctx-size %lld: the model was made for %d tokens", (long long)o->ctx_size, limit);
	c->size = (struct session_size){ .n_ctx = o->ctx_size ? (int)o->ctx_size : limit,
		                         .n_logits = 1 + drafting_most(&o->draft),
		                         .cache = cache_types(&o->cache) };
	if (drafting_open(&c->drafting, c->app, &o->draft, &c->l.model, &c->size, e) < 0)
		return -1;
	c->generate.drafter = c->drafting.drafter;
	add_speaker(c, "off");
	if (c->l.own_adapter && chat_voice(c, c->l.own_adapter, &index, e) < 0)
		return -1;
	for (size_t i = 0; i < o->adapters.n; i++)
		if (chat_voice(c, o->adapters.items[i], &index, e) < 0)
			return -1;
	c->current = o->adapters.n || c->l.own_adapter ? 1 : 0;
	if (sampling_begin(&o->sampling, (size_t)c->l.model.config.V, &c->sampler, e) < 0)
		return -1;
	generate_ends(&c->l.model, &c->generate.end);
	if (constraining_open(&c->constraining, &o->constraint, &c->l.model, e) < 0)
		return -1;
	c->generate.grammar = c->constraining.grammar;
	c->messages = json_array();
	chat_reset(c);
	if (sources_wanted(&o->documents) &&
	    sources_open(&c->sources, &o->documents, c->app, c->l.model.tokenizer, false, e) < 0)
		return -1;
	return in_context_wanted(&o->context) ? chat_context_begin(c, e) : 0;
}

static void end(struct chat *c)
{
	for (size_t i = 0; i < c->n_speakers; i++) {
		session_free(c->speakers[i]->session);
		if (i)
			adapter_release(&c->speakers[i]->adapter);
		mem_free(c->speakers[i]->name);
		mem_free(c->speakers[i]);
	}
	mem_free(c->speakers);
	json_decref(c->messages);
	json_decref(c->before);
	fewshot_free(c->fewshot);
	in_context_close(&c->context);
	sources_close(&c->sources);
	buf_release(&c->question);
	json_decref(c->found);
	json_decref(c->tools);
	json_decref(c->variables);
	sampling_release(&c->sampler);
	drafting_close(&c->drafting);
	constraining_close(&c->constraining);
	tokens_release(&c->generate.end);
	mem_free(c->file);
	guarding_close(&c->guarding);
}

static int talk(struct chat *c)
{
	/* without SA_RESTART: a pipe's chat ends when it waits for a line */
	struct sigaction a = { .sa_handler = note_stop }, before;
	char *history = c->o->history ? history_path() : NULL;

	sigemptyset(&a.sa_mask);
	sigaction(SIGINT, &a, &before);
	c->lines = line_edit_new(history);
	if (line_edit_terminal(c->lines))
		log_say("%s, a context of %d tokens, %s; /help says what there is, Ctrl-D leaves",
		        c->l.model.source.path, c->size.n_ctx, c->app->compute);
	metering_phase("chat");
	int status = chat_turn_on(c);
	if (status == EXIT_DONE)
		put_summary(c);
	line_edit_free(c->lines);
	sigaction(SIGINT, &before, NULL);
	mem_free(history);
	return status;
}

/* A turn: what is said before it and TURN_TOKENS asked, and the longest answer. How long people think belongs to
 * nobody's plan, so a chat is neither learnt from nor compared. */
static int plan_turn(struct chat *c, struct err *e)
{
	struct session *s;
	struct predicted p;
	double read, one;
	struct work of_read, of_one;
	size_t work, cache;

	if (session_new(&s, &c->l.model, c->current ? &c->speakers[c->current]->adapter.overlay : NULL, c->app->device,
	                &c->size, e) < 0)
		return -1;
	int limit = session_limit(s), asked = MIN(MIN(TURN_TOKENS, session_rows(s)), MAX(limit / 2, 1)),
	    made = (int)MIN((size_t)(limit - asked), c->generate.max_new_tokens);
	int status = session_time(s, 1, asked, 0, &read, &of_read, e);
	if (status == 0)
		status = session_time(s, 1, 1, MIN(asked + made / 2, limit - 1), &one, &of_one, e);
	session_bytes(s, &work, &cache);
	work += session_fill_bytes(s, 1, 0, limit);
	session_free(s);
	if (status < 0)
		return -1;
	predict_begin(&p, "%s", "");
	predict_phase(&p, "start",
	              loaded_predict(&c->l, &p, &(struct model_reads){ .token = NULL }, work, 0,
	                             "activations; keys and values of a full context"));
	double times = (asked + c->added_tokens) / asked;  /* what stands before it is read too */
	predict_phase(&p, "prompt", read * times);
	predict_phase(&p, "answer", made * one);
	p.spare_seconds = made * one;
	predict_operations(&p, of_read.flops * times + made * of_one.flops,
	                   of_read.int_ops * times + made * of_one.int_ops);
	return planned(c->app, &p,
	               &(struct planned_options){
			       .facts = json_pack("{s:i, s:i}", "prompt_tokens", asked, "new_tokens", made) },
	               e);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct chat_options *o = options;
	struct chat c = { .app = app, .o = o };

	if (o->context.instruction.n > 1)
		return app_usage(&cmd_chat, "one --instruction stands before a conversation; eval compares several");
	if (sources_contradiction(&o->documents))
		return app_usage(&cmd_chat, "%s", sources_contradiction(&o->documents));
	if (in_context_contradiction(&o->context))
		return app_usage(&cmd_chat, "%s", in_context_contradiction(&o->context));
	if (o->documents.citations && o->guard.outputs)
		return app_usage(&cmd_chat, "--citations compares answers as they were made, --guard-outputs changes "
		                            "them");
	c.generate = (struct generate_options){ .stop = o->sampling.stop.items,
		                                .n_stop = o->sampling.stop.n,
		                                .max_new_tokens = (size_t)o->sampling.max_new_tokens,
		                                .sampler = &c.sampler,
		                                .emit = show_text,
		                                .ctx = &c };
	if (loaded_open_4bit(&c.l, app, &o->four_bit, p->positional[0], NULL, e) < 0)
		return -1;
	struct adapted_options left;
	const struct adapted_places places = { &o->context, &o->documents, NULL };
	int status = adapted_options_take(&left, p->positional[0], &places, e);
	if (status == 0 && left.texts && !left.prompt)
		log_warn("%s was measured on texts without the model's chat template, and a conversation has it: "
		         "kungfu generate asks as it was measured", p->positional[0]);
	for (size_t i = 0; i < o->adapters.n && status == 0; i++)
		status = new_tokens_load(&c.l.model, o->adapters.items[i], e);
	if (status == 0)
		status = sampling_tell(&o->sampling, 1, &c.l.model, p, e);
	if (status == 0)
		status = model_compute(app, &c.l.model, o->compute, PREPARE_GENERATE, e);
	if (status == 0)
		status = guarding_open(&c.guarding, app, &o->guard, e);
	if (status == 0)
		guard_models_causal(c.guarding.models, &c.l);
	if (status == 0)
		status = begin(&c, e);
	if (status == 0 && (app->plans || o->common.max_gas))
		status = plan_turn(&c, e);
	if (status == 0)
		status = talk(&c);
	end(&c);
	adapted_options_release(&left);
	loaded_close(&c.l);
	return status;
}

const struct command cmd_chat = {
	.name = "chat",
	.summary = "a conversation with a model, or with several adapters of it",
	.usage = "MODEL [--adapter DIR …] [options]",
	.example = "kungfu chat model.gguf --system \"Be brief.\"",
	.brief = "talk with the model",
	.plans = true,
	.order = 21,
	.opts = chat_opts,
	.options_size = sizeof(struct chat_options),
	.least = 1, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
