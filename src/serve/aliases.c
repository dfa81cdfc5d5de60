/* aliases: the file as JSON, of which an alias is one value; a change is made to that value, and to its lines where
 * these can be told from others'. What came out is read again and compared before it takes the file's place, so no
 * guess about lines can lose a name. See aliases.h. It opens no model. */
#include "serve/aliases.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/yaml_json.h"

bool aliases_is(const char *path) { return yaml_is_named(path) && !io_is_dir(path); }

/* --- reading --- */

static char *from_file(const char *file, const char *path)
{
	char *dir = io_parent(file), *whole = *path == '/' ? mem_strdup(path) : io_join(dir, path);

	mem_free(dir);
	return whole;
}

static bool is_known(const char *key, const char *const *known)
{
	for (; *known; known++)
		if (!strcmp(key, *known))
			return true;
	return false;
}

/* Keys, and what kind of value each has. */
static int check_version(const json_t *v, const char *where, const char *const *known, struct err *e)
{
	const json_t *path = json_object_get(v, "path"), *value;
	const char *key;

	if (!json_is_object(v) || !json_string_length(path))
		return err_set(e, "%s: its path was wanted, as a text or as `path:`", where);
	json_object_foreach ((json_t *)v, key, value) {
		bool text = strcmp(key, "note") && strcmp(key, "history") && strcmp(key, "withdrawn");
		if (!is_known(key, known))
			return err_set(e, "%s: %.60s is not known here", where, key);
		if (text && !json_is_string(value))
			return err_set(e, "%s: %s is no text; dates and numbers stand in quotes", where, key);
	}
	return 0;
}

const char *const alias_keys[ALIAS_OF_MODEL] = { [ALIAS_DOCUMENTS] = "documents", [ALIAS_ADAPTER_DIR] = "adapter-dir",
	                                         [ALIAS_MODEL_DRAFT] = "model-draft" };
static const char *const keys_now[] = { "path",        "adapter", "since",   "note", "documents", "adapter-dir",
	                                "model-draft", "history", NULL };
static const char *const keys_past[] = { "path", "adapter", "since", "note", "until", "withdrawn", "why", NULL };

static int check_alias(const json_t *v, const char *where, struct err *e)
{
	const json_t *history = json_object_get(v, "history"), *one;
	size_t i;

	if (json_is_string(v))
		return json_string_length(v) ? 0 : err_set(e, "%s: its path is empty", where);
	if (check_version(v, where, keys_now, e) < 0)
		return -1;
	if (history && !json_is_array(history))
		return err_set(e, "%s: history is no list", where);
	json_array_foreach (history, i, one)
		if (check_version(one, where, keys_past, e) < 0)
			return err_prefix(e, "history %zu", i + 1);
	return 0;
}

/* All names; NULL and a sentence. */
static json_t *read_file(const char *text, size_t n, const char *file, struct err *e)
{
	json_t *all = yaml_json(text, n, file, e), *value;
	char where[400];
	const char *name;
	int status = 0;

	if (all && !json_is_object(all))
		status = err_set(e, "%s: names with paths were wanted, `NAME: PATH` on each line", file);
	json_object_foreach (all, name, value) {
		snprintf(where, sizeof(where), "%.200s: %.100s", file, name);
		if (status == 0)
			status = *name ? check_alias(value, where, e) : err_set(e, "%s: a name is empty", file);
	}
	if (status == 0)
		return all;
	json_decref(all);
	return NULL;
}

static struct alias alias_of(const char *file, const char *name, const json_t *v)
{
	const char *path = json_string_value(json_is_string(v) ? v : json_object_get(v, "path"));
	const char *adapter = json_string_value(json_object_get(v, "adapter"));

	struct alias a = { .name = name,
		           .path = from_file(file, path),
		           .adapter = adapter ? from_file(file, adapter) : NULL,
		           .since = json_string_value(json_object_get(v, "since")),
		           .note = json_object_get(v, "note"),
		           .history = json_object_get(v, "history") };
	for (size_t i = 0; i < ALIAS_OF_MODEL; i++) {
		const char *said = json_string_value(json_object_get(v, alias_keys[i]));
		a.of_model[i] = said ? from_file(file, said) : NULL;
	}
	return a;
}

int aliases_open(struct aliases *a, const char *file, struct err *e)
{
	struct buf text = BUF_INIT;
	json_t *value;
	const char *name;

	*a = (struct aliases){ .json = io_read(&text, file, e) == 0 ? read_file(buf_str(&text), text.len, file, e) :
		                                                      NULL };
	buf_release(&text);
	if (!a->json)
		return -1;
	a->file = mem_strdup(file);
	a->rows = mem_array(json_object_size(a->json), sizeof(*a->rows));
	json_object_foreach (a->json, name, value)
		a->rows[a->n++] = alias_of(file, name, value);
	if (a->n)
		return 0;
	aliases_close(a);
	return err_set(e, "%s has no name", file);
}

void aliases_close(struct aliases *a)
{
	for (size_t i = 0; i < a->n; i++) {
		mem_free(a->rows[i].path);
		mem_free(a->rows[i].adapter);
		for (size_t k = 0; k < ALIAS_OF_MODEL; k++)
			mem_free(a->rows[i].of_model[k]);
	}
	mem_free(a->rows);
	mem_free(a->file);
	json_decref(a->json);
	*a = (struct aliases){ 0 };
}

const struct alias *aliases_find(const struct aliases *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (!strcmp(a->rows[i].name, name))
			return &a->rows[i];
	return NULL;
}

/* --- writing --- */

/* A JSON's line as YAML 1.1 reads it: a number with an exponent has a point there, and the exponent a sign. */
static void add_flow(struct buf *b, const json_t *j)
{
	char *line = jsonx_line(j);
	bool quoted = false, point = false;

	for (const char *s = line; *s; s++) {
		if (*s == '"')
			quoted = !quoted;
		if (quoted && *s == '\\')
			buf_addc(b, *s++);
		bool exponent = !quoted && *s == 'e' && isdigit((unsigned char)s[-1]);
		if (exponent && !point)
			buf_adds(b, ".0");
		point = !quoted && (*s == '.' || (point && isdigit((unsigned char)*s)));
		buf_addc(b, *s);
		if (exponent && isdigit((unsigned char)s[1]))
			buf_addc(b, '+');
	}
	mem_free(line);
}

/* A text without quotes where it means itself: letters and what stands in paths, with a slash or a point in it, or as a
 * name that is no word of YAML's. */
static void add_text(struct buf *b, const char *text)
{
	struct err ignored = ERR_INIT;
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-");
	bool is_plain = !text[n] && (isalpha((unsigned char)*text) || *text == '/');
	json_t *read = is_plain ? yaml_json(text, n, "a text", &ignored) : NULL;
	json_t *quoted = json_string(text);

	if (read && json_equal(read, quoted))
		buf_adds(b, text);
	else
		add_flow(b, quoted);
	json_decref(read);
	json_decref(quoted);
}

static void add_alias(struct buf *b, const char *name, const json_t *v)
{
	const json_t *history = json_object_get(v, "history"), *value, *one;
	const char *key;
	size_t i;

	add_text(b, name);
	buf_adds(b, ":");
	if (json_is_string(v)) {
		buf_addc(b, ' ');
		add_text(b, json_string_value(v));
	}
	buf_addc(b, '\n');
	json_object_foreach ((json_t *)v, key, value) {
		if (value == history)
			continue;
		buf_addf(b, "  %s: ", key);
		if (json_is_string(value))
			add_text(b, json_string_value(value));
		else
			add_flow(b, value);
		buf_addc(b, '\n');
	}
	if (history)
		buf_adds(b, json_array_size(history) ? "  history:\n" : "  history: []\n");
	json_array_foreach (history, i, one) {
		buf_adds(b, "  - ");
		add_flow(b, one);
		buf_addc(b, '\n');
	}
}

/* --- lines --- */

static size_t line_end(const char *text, size_t n, size_t at)
{
	const char *end = memchr(text + at, '\n', n - at);

	return end ? (size_t)(end - text) + 1 : n;
}

/* Does the line begin with the name, as a key? */
static bool is_key(const char *line, size_t n, const char *name)
{
	size_t length = strlen(name), quoted = *line == '"' || *line == '\'';

	if (n < length + 2 * quoted || strncmp(line + quoted, name, length) != 0 ||
	    (quoted && line[length + 1] != *line))
		return false;
	size_t at = length + 2 * quoted;
	while (at < n && line[at] == ' ')
		at++;
	return at < n && line[at] == ':';
}

/* The lines of a name: [*from, *to), without comments and empty lines after them; the end where there is none. */
static void find_lines(const char *text, size_t n, const char *name, size_t *from, size_t *to)
{
	bool inside = false;

	*from = *to = n;
	for (size_t at = 0, end; at < n; at = end) {
		end = line_end(text, n, at);
		bool nothing = strchr("#\r\n", text[at]), deeper = text[at] == ' ' || text[at] == '\t';
		if (inside && !nothing && !deeper)
			return;
		if (!inside && !nothing && !deeper && is_key(text + at, end - at, name)) {
			inside = true;
			*from = at;
		}
		if (inside && !nothing)
			*to = end;
	}
}

/* The file with another value for one name. */
static void change_lines(struct buf *out, const struct buf *old, const char *name, const json_t *v)
{
	const char *text = buf_str(old);
	size_t from, to;

	find_lines(text, old->len, name, &from, &to);
	buf_add(out, text, from);
	if (out->len && out->data[out->len - 1] != '\n')
		buf_addc(out, '\n');
	add_alias(out, name, v);
	buf_add(out, text + to, old->len - to);
}

static bool says(const struct buf *text, const char *file, const json_t *all)
{
	struct err ignored = ERR_INIT;
	json_t *read = yaml_json(buf_str(text), text->len, file, &ignored);
	bool same = read && json_equal(read, all);

	json_decref(read);
	return same;
}

static int write_file(const char *file, const struct buf *old, const json_t *all, const char *name, struct err *e)
{
	struct buf text = BUF_INIT;
	const json_t *value;
	const char *each;

	change_lines(&text, old, name, json_object_get(all, name));
	if (!says(&text, file, all)) {
		buf_clear(&text);
		json_object_foreach ((json_t *)all, each, value)
			add_alias(&text, each, value);
	}
	if (!says(&text, file, all))
		BUG("%s: what is written of names is read otherwise", file);
	int status = io_write(file, buf_str(&text), text.len, e);
	buf_release(&text);
	return status;
}

/* --- moving --- */

/* What goes into the file is JSON's text. */
static int check_text(const char *what, const char *text, struct err *e)
{
	if (text && (!*text || !utf8_valid(text, strlen(text), NULL)))
		return err_set(e, *text ? "%s is not UTF-8" : "%s is empty", what);
	return 0;
}

/* A path as it stands in the file: within its folder from there, else the whole. mem_free; NULL and a sentence. */
static char *in_file(const char *file, const char *path, struct err *e)
{
	char *parent = io_parent(file), dir[PATH_MAX], whole[PATH_MAX];
	const char *found = realpath(parent, dir);
	size_t n = found ? strlen(dir) : 0;

	mem_free(parent);
	if (!found || !realpath(path, whole)) {
		err_set(e, "%s is not there", found ? path : file);
		return NULL;
	}
	const char *out = n > 1 && !strncmp(whole, dir, n) && whole[n] == '/' ? whole + n + 1 : whole;
	return check_text("the path", out, e) < 0 ? NULL : mem_strdup(out);
}

/* What is of the model stays with its name. */
static void keep_of_model(json_t *v, const json_t *old)
{
	for (size_t i = 0; i < ALIAS_OF_MODEL; i++) {
		json_t *said = json_object_get(old, alias_keys[i]);
		if (said)
			json_object_set(v, alias_keys[i], said);
	}
}

/* What a name stood for, as it goes to the history: new. */
static json_t *past_of(const json_t *v, const char *until)
{
	json_t *past = json_is_string(v) ? json_pack("{s:O}", "path", v) : json_copy((json_t *)v);

	json_object_del(past, "history");
	for (size_t i = 0; i < ALIAS_OF_MODEL; i++)
		json_object_del(past, alias_keys[i]);
	json_object_set_new(past, "until", json_string(until));
	return past;
}

struct change {
	const char *name, *path, *adapter, *when, *why;
	const json_t *note;
	const struct alias *was;       /* it is to stand for this still; NULL: whatever it stands for */
};

/* Are both the same place, or both nothing? */
static bool same_place(const char *file, const char *stands, const char *path)
{
	char one[PATH_MAX], other[PATH_MAX], *whole = stands ? from_file(file, stands) : NULL;
	bool same = whole && path ? !strcmp(realpath(whole, one) ? one : whole, realpath(path, other) ? other : path) :
	                            !whole && !path;

	mem_free(whole);
	return same;
}

static int check_still(const char *file, const json_t *old, const struct change *c, struct err *e)
{
	const char *path = json_string_value(json_is_string(old) ? old : json_object_get(old, "path")),
		   *adapter = json_string_value(json_object_get(old, "adapter"));

	if (!c->was || (same_place(file, path, c->was->path) && same_place(file, adapter, c->was->adapter)))
		return 0;
	return err_set(e, "%s: %s was moved meanwhile, and stands for %s now", file, c->name, path ? path : "nothing");
}

static json_t *moved(const char *file, const json_t *old, const struct change *c, struct err *e)
{
	char *path = check_still(file, old, c, e) == 0 ? in_file(file, c->path, e) : NULL;
	char *adapter = path && c->adapter ? in_file(file, c->adapter, e) : NULL;
	json_t *history = json_deep_copy(json_object_get(old, "history")), *v = NULL;

	if (path && (adapter || !c->adapter)) {
		history = history ? history : json_array();
		if (old)
			json_array_append_new(history, past_of(old, c->when));
		v = json_pack("{s:s, s:s*, s:s, s:O*, s:O*}", "path", path, "adapter", adapter, "since", c->when,
		              "note", c->note, "history", old ? history : NULL);
		keep_of_model(v, old);
	}
	json_decref(history);
	mem_free(path);
	mem_free(adapter);
	return v;
}

static json_t *moved_back(const char *file, const json_t *old, const struct change *c, struct err *e)
{
	json_t *history = json_deep_copy(json_object_get(old, "history"));
	size_t n = json_array_size(history);

	while (n && json_is_true(json_object_get(json_array_get(history, n - 1), "withdrawn")))
		n--;
	if (!n) {
		json_decref(history);
		err_set(e, "%s: %s", file,
		        old ? "the name has stood for nothing else before" : "there is no such name");
		return NULL;
	}
	json_t *v = json_copy(json_array_get(history, n - 1)), *past = past_of(old, c->when);
	json_object_set_new(past, "withdrawn", json_true());
	if (c->why)
		json_object_set_new(past, "why", json_string(c->why));
	json_array_remove(history, n - 1);
	json_array_append_new(history, past);
	json_object_del(v, "until");
	json_object_set_new(v, "since", json_string(c->when));
	json_object_set_new(v, "history", history);
	keep_of_model(v, old);
	return v;
}

static int change(const char *file, const struct change *c,
                  json_t *(*how)(const char *file, const json_t *old, const struct change *c, struct err *e),
                  struct err *e)
{
	struct buf text = BUF_INIT;
	int lock, status = check_text("the name", c->name, e);
	char *dir = io_parent(file);

	if (status == 0)
		status = io_lock_dir(dir, &lock, e);
	mem_free(dir);
	if (status < 0)
		return -1;
	status = io_exists(file) ? io_read(&text, file, e) : 0;
	json_t *all = status < 0 ? NULL : text.len ? read_file(buf_str(&text), text.len, file, e) : json_object();
	json_t *v = all ? how(file, json_object_get(all, c->name), c, e) : NULL;
	if (v)
		json_object_set_new(all, c->name, v);
	status = v ? write_file(file, &text, all, c->name, e) : -1;
	json_decref(all);
	buf_release(&text);
	io_unlock(lock);
	return status;
}

int aliases_move(const char *file, const char *name, const char *path, const char *adapter, const char *when,
                 const json_t *note, struct err *e)
{
	return change(file,
	              &(struct change){ .name = name, .path = path, .adapter = adapter, .when = when, .note = note },
	              moved, e);
}

int aliases_move_from(const char *file, const char *name, const struct alias *was, const char *path,
                      const char *adapter, const char *when, const json_t *note, struct err *e)
{
	return change(file,
	              &(struct change){ .name = name, .path = path, .adapter = adapter, .when = when, .note = note,
	                                .was = was },
	              moved, e);
}

int aliases_back(const char *file, const char *name, const char *when, const char *why, struct err *e)
{
	return change(file, &(struct change){ .name = name, .when = when, .why = why }, moved_back, e);
}
