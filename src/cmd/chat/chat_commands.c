/* chat_commands: what a line of `chat` that begins with a slash does. A table: adding one is a row and a function. */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/chat/chat_parts.h"
#include "data/chat_fit.h"
#include "data/rows.h"
#include "data/shape.h"

static const char *role_of(const json_t *messages, size_t i)
{
	const char *role = json_string_value(json_object_get(json_array_get(messages, i), "role"));
	return role ? role : "";
}

static size_t count(const struct chat *c) { return json_array_size(c->messages); }

static bool is_last(const struct chat *c, const char *role)
{
	return count(c) && !strcmp(role_of(c->messages, count(c) - 1), role);
}

static int no_word(const char *name, const char *arg, struct err *e)
{
	return *arg ? err_set(e, "/%s takes nothing, found %.60s", name, arg) : 0;
}

static int do_reset(struct chat *c, const char *arg, struct err *e)
{
	if (no_word("reset", arg, e) < 0)
		return -1;
	chat_reset(c);
	log_say("the conversation begins anew");
	return 0;
}

/* Without a text: says what it is. */
static int do_system(struct chat *c, const char *arg, struct err *e)
{
	bool has = count(c) && !strcmp(role_of(c->messages, 0), "system");
	(void)e;

	if (*arg && has)
		json_array_remove(c->messages, 0);
	if (*arg)
		json_array_insert_new(c->messages, 0, json_pack("{s:s, s:s}", "role", "system", "content", arg));
	else
		log_say("system: %s",
		        has ? json_string_value(json_object_get(json_array_get(c->messages, 0), "content")) :
		              "(what the template says by itself)");
	return 0;
}

static int do_save(struct chat *c, const char *arg, struct err *e)
{
	if (!*arg && !c->file)
		return err_set(e, "/save FILE: where to?");
	const char *path = *arg ? arg : c->file;
	if (io_exists(path) && (!c->file || strcmp(path, c->file)))
		return err_set(e, "%s is there and is not this conversation's: another name was wanted", path);
	json_t *row = json_pack("{s:O}", "messages", c->messages);
	if (c->tools)
		json_object_set(row, "tools", c->tools);
	if (c->variables)
		json_object_set(row, "chat_template_kwargs", c->variables);
	char *line = jsonx_line(row), *whole = mem_printf("%s\n", line);
	int status = io_write(path, whole, strlen(whole), e);
	if (status == 0) {
		log_say("%s: %zu messages, a row to train on", path, count(c));
		char *file = mem_strdup(path);
		mem_free(c->file);
		c->file = file;
	}
	mem_free(line);
	mem_free(whole);
	json_decref(row);
	return status;
}

/* Columns of the row that the template writes nothing of are named. */
static void tell_unread(const struct text_codec *codec, const struct conversation *x, const struct row *r)
{
	const struct shape *s = shape_of(r->json);
	struct columns seen = { 0 };
	struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT;

	columns_look(&seen, s, r, true, NULL);
	if (chat_write(codec, x, json_array_size(x->messages), false, &text, &ignored) == 0)
		chat_watch(codec, x, false, &text, r, &seen);
	columns_warn(&seen);
	columns_release(&seen);
	buf_release(&text);
}

static int check_texts(const json_t *messages, struct err *e)
{
	const json_t *m;
	size_t i;

	json_array_foreach((json_t *)messages, i, m)
		if (!json_is_string(json_object_get(m, "content")) && !json_object_get(m, "tool_calls"))
			return err_set(e, "messages, a list of {role, content} that are texts, was wanted");
	return 0;
}

/* A row's conversation, with its tools and variables, as the template takes it. */
static int read_row(const struct chat *c, const struct row *r, struct conversation *x, struct err *e)
{
	struct text_codec codec = { c->l.model.tokenizer, c->l.chat };
	json_t *list = json_object_get(r->json, "messages");

	list = list ? list : json_object_get(r->json, "conversations");
	if (!json_array_size(list))
		return err_set(e, "messages, a list of {role, content} that are texts, was wanted");
	if (conversation_make(x, shape_of(r->json), r->json, list, 0, e) < 0)
		return -1;
	if (chat_fit(&codec, x, e) == 0 && check_texts(x->messages, e) == 0) {
		tell_unread(&codec, x, r);
		return 0;
	}
	conversation_release(x);
	return -1;
}

/* The one conversation of a file. */
static int read_conversation(const struct chat *c, const char *path, struct conversation *x, struct err *e)
{
	struct rows rows;

	if (rows_load_objects(&rows, path, e) < 0)
		return -1;
	int status = rows.n == 1 ? read_row(c, &rows.items[0], x, e) :
	                           err_set(e, "%zu rows, one conversation was wanted", rows.n);
	rows_release(&rows);
	return status ? err_prefix(e, "%s", path) : 0;
}

static int do_load(struct chat *c, const char *arg, struct err *e)
{
	struct conversation x;

	if (!*arg)
		return err_set(e, "/load FILE: which one?");
	if (read_conversation(c, arg, &x, e) < 0)
		return -1;
	json_decref(c->messages);
	json_decref(c->tools);
	json_decref(c->variables);
	c->messages = x.messages;
	c->tools = x.tools;
	c->variables = x.more;
	mem_free(c->file);
	c->file = mem_strdup(arg);
	log_say("%s: %zu messages%s%s", arg, count(c), c->tools ? " and its tools" : "",
	        is_last(c, "assistant") ? "" : "; /regen answers the last one");
	return 0;
}

static int do_regen(struct chat *c, const char *arg, struct err *e)
{
	json_t *old = NULL;
	struct buf text = BUF_INIT;

	if (no_word("regen", arg, e) < 0)
		return -1;
	if (is_last(c, "assistant") && count(c) > 1 && !strcmp(role_of(c->messages, count(c) - 2), "user")) {
		old = json_incref(json_array_get(c->messages, count(c) - 1));
		json_array_remove(c->messages, count(c) - 1);
	} else if (!is_last(c, "user")) {
		return err_set(e, "/regen: nothing was asked yet");
	}
	c->sampler.stream++; /* other draws than before; the likeliest stays what it is */
	int status = chat_answer(c, c->speakers[c->current], &text, e);
	if (status == 0)
		chat_push(c, "assistant", buf_str(&text), text.len);
	else if (old)
		json_array_append(c->messages, old);
	json_decref(old);
	buf_release(&text);
	return status;
}

static int do_adapter(struct chat *c, const char *arg, struct err *e)
{
	if (*arg && chat_voice(c, arg, &c->current, e) < 0) {
		c->current = c->current < c->n_speakers ? c->current : 0;
		return -1;
	}
	for (size_t i = 0; i < c->n_speakers && !*arg; i++)
		log_say("%s %s", i == c->current ? "*" : " ", c->speakers[i]->name);
	if (*arg)
		log_say("adapter: %s", c->speakers[c->current]->name);
	return 0;
}

static int do_tokens(struct chat *c, const char *arg, struct err *e)
{
	const struct speaker *v = c->speakers[c->current];
	int used = v->session ? session_length(v->session, 0) : 0;
	int limit = v->session ? session_limit(v->session) : c->size.n_ctx;

	if (no_word("tokens", arg, e) < 0)
		return -1;
	if (c->app->json) {
		json_t *j = json_pack("{s:i, s:i, s:I, s:I, s:I}", "context_used", used, "context", limit,
		                      "prompt_tokens", (json_int_t)c->prompt_tokens, "kept", (json_int_t)c->kept,
		                      "computed", (json_int_t)c->computed);
		app_json(j);
		json_decref(j);
		return 0;
	}
	app_print("context: %d of %d tokens\n", used, limit);
	if (c->turns)
		app_print("last turn: %zu tokens before the answer, %zu of them were there, %zu were computed\n",
		          c->prompt_tokens, c->kept, c->computed);
	return 0;
}

/* Every speaker answers the last question; the conversation goes on with the current one's answer. */
static int do_compare(struct chat *c, const char *arg, struct err *e)
{
	struct buf mine = BUF_INIT;
	json_t *old = NULL;
	uint64_t index = c->sampler.index;
	int status = 0;

	if (*arg) {
		if (chat_push_question(c, arg, e) < 0)
			return -1;
	} else if (is_last(c, "assistant") && count(c) > 1 && !strcmp(role_of(c->messages, count(c) - 2), "user")) {
		old = json_incref(json_array_get(c->messages, count(c) - 1));
		json_array_remove(c->messages, count(c) - 1);
	} else if (!is_last(c, "user")) {
		return err_set(e, "/compare: nothing was asked yet; /compare TEXT asks");
	}
	for (size_t i = 0; i < c->n_speakers && status == 0; i++) {
		struct buf text = BUF_INIT;
		if (!c->app->json)
			app_print("--- %s\n", i ? c->speakers[i]->name : "the model alone");
		c->sampler.index = index; /* the same draws for all */
		status = chat_answer(c, c->speakers[i], &text, e);
		if (status == 0 && i == c->current)
			buf_add(&mine, buf_str(&text), text.len);
		buf_release(&text);
	}
	if (old)
		json_array_append(c->messages, old);
	else if (status == 0)
		chat_push(c, "assistant", buf_str(&mine), mine.len);
	else if (*arg)
		json_array_remove(c->messages, count(c) - 1);
	json_decref(old);
	buf_release(&mine);
	return status;
}

static int do_quit(struct chat *c, const char *arg, struct err *e)
{
	c->leave = true;
	return no_word("quit", arg, e);
}

static int do_help(struct chat *c, const char *arg, struct err *e);

static const struct {
	const char *name, *arg, *help;
	int (*run)(struct chat *c, const char *arg, struct err *e);
} commands[] = {
	{ "help", "", "this list", do_help },
	{ "reset", "", "forget the conversation", do_reset },
	{ "system", "[TEXT]", "what the system says, or what it said", do_system },
	{ "save", "FILE", "the conversation, as a row to train on", do_save },
	{ "load", "FILE", "a conversation that was saved", do_load },
	{ "regen", "", "another answer to the last question", do_regen },
	{ "adapter", "[DIR|off]", "who answers; without a name, who there is", do_adapter },
	{ "compare", "[TEXT]", "the model and every adapter answer, in turn", do_compare },
	{ "tokens", "", "how full the context is, what was computed", do_tokens },
	{ "quit", "", "leave, as /bye, exit and Ctrl-D do", do_quit },
};

static int do_help(struct chat *c, const char *arg, struct err *e)
{
	(void)c;
	if (no_word("help", arg, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		char *name = mem_printf("/%s %s", commands[i].name, commands[i].arg);
		app_print("  %-20s %s\n", name, commands[i].help);
		mem_free(name);
	}
	app_print("Ctrl-C stops an answer. A line that ends in \\ goes on in the next; // begins a question with a "
	          "slash.\n");
	return 0;
}

/* The same under the names that ollama, llama.cpp and others have. */
static const struct { const char *theirs, *ours; } habits[] = {
	{ "bye", "quit" },   { "exit", "quit" },  { "q", "quit" },       { "?", "help" },
	{ "h", "help" },     { "clear", "reset" }, { "new", "reset" },   { "regenerate", "regen" },
	{ "retry", "regen" }, { "lora", "adapter" }, { "context", "tokens" },
};

static const char *by_habit(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(habits); i++)
		if (!strcmp(habits[i].theirs, name))
			return habits[i].ours;
	return name;
}

/* What is done otherwise here, NULL: nothing is known of it. */
static const char *done_otherwise(const char *name)
{
	static const struct { const char *name, *how; } ways[] = {
		{ "set", "options are given at the start (kungfu chat --help); /system sets the system's turn" },
		{ "show", "kungfu info MODEL shows what a model is; /tokens how full the context is" },
		{ "read", "a text from a file is asked by kungfu generate MODEL --prompt-file FILE" },
		{ "file", "a text from a file is asked by kungfu generate MODEL --prompt-file FILE" },
		{ "list", "/adapter lists who can answer; kungfu runs lists runs" },
	};
	for (size_t i = 0; i < ARRAY_LEN(ways); i++)
		if (!strcmp(ways[i].name, name))
			return ways[i].how;
	return NULL;
}

int chat_command(struct chat *c, const char *line, struct err *e)
{
	const char *names[ARRAY_LEN(commands)], *space = " \t\r";
	size_t n = strcspn(line + 1, space), i = 0;
	char *name = mem_strndup(line + 1, n), *arg = mem_strdup(line + 1 + n + strspn(line + 1 + n, space));
	int status;

	for (size_t end = strlen(arg); end && strchr(space, arg[end - 1]); arg[--end] = 0)
		;
	for (; i < ARRAY_LEN(commands) && strcmp(commands[i].name, by_habit(name)); i++)
		names[i] = commands[i].name;
	if (i < ARRAY_LEN(commands)) {
		status = commands[i].run(c, arg, e);
	} else if (done_otherwise(name)) {
		status = err_set(e, "unknown command /%s: %s", name, done_otherwise(name));
	} else {
		const char *near = opt_nearest(name, names, ARRAY_LEN(commands));
		status = err_set(e, "unknown command /%.40s%s%s%s (/help says what there is)", name,
		                 near ? ", did you mean /" : "", near ? near : "", near ? "?" : "");
	}
	mem_free(name);
	mem_free(arg);
	return status;
}
