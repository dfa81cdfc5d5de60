/* test_aliases: names for models in a file. What would break: a key that is not known is taken in silence, a path is
 * looked for elsewhere than beside the file, a moved name loses its history, others' lines or comments, a rollback
 * returns to what was withdrawn. */
#include <stdio.h>
#include <string.h>

#include "../test.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "serve/aliases.h"

struct place {
	struct test *t;
	char dir[400], file[420];
};

static void place_begin(struct place *p, struct test *t, const char *text)
{
	struct err e = ERR_INIT;

	p->t = t;
	snprintf(p->dir, sizeof(p->dir), "%s/aliases-XXXXXX", test_tmp());
	CHECK_MSG(t, io_temporary_dir(p->dir, &e) == 0, "%s", e.msg);
	for (const char *name = "a\0b\0c\0"; *name; name += 2) {
		char *one = io_join(p->dir, name);
		CHECK_MSG(t, io_write(one, "x", 1, &e) == 0, "%s", e.msg);
		mem_free(one);
	}
	snprintf(p->file, sizeof(p->file), "%s/names.yaml", p->dir);
	if (text)
		CHECK_MSG(t, io_write(p->file, text, strlen(text), &e) == 0, "%s", e.msg);
}

static void in(const struct place *p, const char *name, char out[420]) { snprintf(out, 420, "%s/%s", p->dir, name); }

/* What the name stands for, without the folder. */
static void check_name(const struct place *p, const char *name, const char *path, const char *adapter, size_t before)
{
	struct aliases a;
	struct err e = ERR_INIT;
	char whole[420];

	CHECK_MSG(p->t, aliases_open(&a, p->file, &e) == 0, "%s", e.msg);
	const struct alias *x = aliases_find(&a, name);
	CHECK(p->t, x != NULL);
	if (x) {
		in(p, path, whole);
		CHECK(p->t, !strcmp(x->path, whole));
		in(p, adapter ? adapter : "", whole);
		CHECK(p->t, adapter ? x->adapter && !strcmp(x->adapter, whole) : !x->adapter);
		CHECK(p->t, json_array_size(x->history) == before);
	}
	aliases_close(&a);
}

static void test_read(struct test *t)
{
	struct place p;
	struct aliases a;
	struct err e = ERR_INIT;

	place_begin(&p, t, "small: a\nmail:\n  path: /elsewhere/b\n  adapter: c\n");
	CHECK(t, aliases_is(p.file) && !aliases_is("model.gguf") && !aliases_is("/tmp"));
	CHECK(t, aliases_open(&a, p.file, &e) == 0);
	CHECK(t, a.n == 2 && !strcmp(a.rows[0].name, "small"));
	CHECK(t, !strcmp(aliases_find(&a, "mail")->path, "/elsewhere/b"));
	CHECK(t, aliases_find(&a, "large") == NULL);
	aliases_close(&a);
	check_name(&p, "small", "a", NULL, 0);
}

/* A file whose mistake would otherwise be a model that nobody meant. */
static void test_refused(struct test *t)
{
	static const char *const cases[][2] = {
		{ "", "names with paths" },
		{ "{}", "has no name" },
		{ "- a\n", "names with paths" },
		{ "small:\n", "its path was wanted" },
		{ "small: {adapter: b}\n", "its path was wanted" },
		{ "small: {path: a, adaptor: b}\n", "adaptor is not known" },
		{ "small: {path: a, adapter: 3}\n", "adapter is no text" },
		{ "small: {path: a, history: b}\n", "history is no list" },
		{ "small: {path: a, history: [{path: b, at: c}]}\n", "history 1" },
		{ "small: a\nsmall: b\n", "twice" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct place p;
		struct aliases a;
		struct err e = ERR_INIT;
		place_begin(&p, t, cases[i][0]);
		CHECK(t, aliases_open(&a, p.file, &e) < 0);
		CHECK_MSG(t, strstr(e.msg, cases[i][1]), "%s: %s", cases[i][0], e.msg);
	}
}

static void move(const struct place *p, const char *name, const char *path, const char *adapter, const char *when)
{
	struct err e = ERR_INIT;
	char whole[420], over[420];
	json_t *note = json_pack("{s:f, s:s}", "bound", 1e22, "set", "a \"quoted\": 1e5, {text}");

	in(p, path, whole);
	in(p, adapter ? adapter : "", over);
	CHECK_MSG(p->t, aliases_move(p->file, name, whole, adapter ? over : NULL, when, note, &e) == 0, "%s", e.msg);
	json_decref(note);
}

/* documents, folders of adapters, a model that guesses. */
static void test_of_model(struct test *t)
{
	struct place p;
	struct aliases a;
	struct err e = ERR_INIT;
	char whole[420];

	test_case(t, "what is of the model stays with a name that moves, forth and back, and in no version");
	place_begin(&p, t, "yes:\n  path: a\n  documents: d.db\n  model-draft: /tiny\n");
	move(&p, "yes", "b", "c", "two");
	CHECK(t, aliases_back(p.file, "yes", "three", NULL, &e) == 0);
	check_name(&p, "yes", "a", NULL, 1);
	CHECK(t, aliases_open(&a, p.file, &e) == 0);
	const struct alias *x = aliases_find(&a, "yes");
	in(&p, "d.db", whole);
	CHECK(t, x && x->of_model[ALIAS_DOCUMENTS] && !strcmp(x->of_model[ALIAS_DOCUMENTS], whole));
	CHECK(t, x && !x->of_model[ALIAS_ADAPTER_DIR] && !strcmp(x->of_model[ALIAS_MODEL_DRAFT], "/tiny"));
	CHECK(t, x && !json_object_get(json_array_get(x->history, 0), "documents"));
	aliases_close(&a);
}

static void test_moved_and_back(struct test *t)
{
	struct place p;
	struct err e = ERR_INIT;

	place_begin(&p, t, NULL);
	move(&p, "yes", "a", NULL, "one");
	move(&p, "yes", "b", "c", "two");
	move(&p, "yes", "c", NULL, "three");
	check_name(&p, "yes", "c", NULL, 2);
	CHECK(t, aliases_back(p.file, "yes", "four", "worse", &e) == 0);
	check_name(&p, "yes", "b", "c", 2);
	/* what was withdrawn is not returned to */
	CHECK(t, aliases_back(p.file, "yes", "five", NULL, &e) == 0);
	check_name(&p, "yes", "a", NULL, 2);
	CHECK(t, aliases_back(p.file, "yes", "six", NULL, &e) < 0);
	CHECK(t, aliases_back(p.file, "no", "six", NULL, &e) < 0);
	CHECK(t, aliases_move(p.file, "yes", "/not/there", NULL, "six", NULL, &e) < 0);
	/* the file is UTF-8, and so is what goes into it */
	CHECK(t, aliases_move(p.file, "a\xa3", p.dir, NULL, "six", NULL, &e) < 0 && strstr(e.msg, "is not UTF-8"));
	CHECK(t, aliases_move(p.file, "", p.dir, NULL, "six", NULL, &e) < 0 && strstr(e.msg, "is empty"));
	check_name(&p, "yes", "a", NULL, 2);
}

static void check_text(const struct place *p, const char *wanted)
{
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;

	CHECK(p->t, io_read(&text, p->file, &e) == 0);
	CHECK_MSG(p->t, !strcmp(buf_str(&text), wanted), "%s", buf_str(&text));
	buf_release(&text);
}

static void test_others_lines_stay(struct test *t)
{
	struct place p;
	struct err e = ERR_INIT;
	char whole[420];

	place_begin(&p, t, "# all of them\nfirst: a   # ours\n\n\"sec ond\":\n  path: b\n\n# the last\nthird: c");
	in(&p, "c", whole);
	CHECK(t, aliases_move(p.file, "sec ond", whole, NULL, "now", NULL, &e) == 0);
	check_text(&p, "# all of them\nfirst: a   # ours\n\n\"sec ond\":\n  path: c\n  since: now\n  history:\n"
	               "  - {\"path\": \"b\", \"until\": \"now\"}\n\n# the last\nthird: c");
	CHECK(t, aliases_move(p.file, "fourth", whole, NULL, "now", NULL, &e) == 0);
	check_name(&p, "third", "c", NULL, 0);
	check_name(&p, "fourth", "c", NULL, 0);
	/* where lines cannot be told apart nothing is lost either */
	place_begin(&p, t, "{first: a,\nsecond: b}\n");
	in(&p, "c", whole);
	CHECK(t, aliases_move(p.file, "second", whole, NULL, "now", NULL, &e) == 0);
	check_name(&p, "first", "a", NULL, 0);
	check_name(&p, "second", "c", NULL, 1);
}

void test_aliases(struct test *t)
{
	test_case(t, "names are read");
	test_read(t);
	test_case(t, "mistakes are sentences");
	test_refused(t);
	test_case(t, "a name is moved and back");
	test_moved_and_back(t);
	test_of_model(t);
	test_case(t, "others' lines stay");
	test_others_lines_stay(t);
}
