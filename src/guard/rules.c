/* rules: files of rules, one over the other. A key that nobody knows, a rule that is no expression, a check or a
 * verdict that there is not are refused with file and line. */
#include "guard/rules.h"

#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "guard/encoding.h"
#include "search/space_yaml.h"

extern const char guard_builtin[]; /* generated from share/guard.yaml */

const char *const guard_verdict_names[GUARD_VERDICTS] = { "allow", "flag", "redact", "refuse" };

enum { RULES_MOST = 1000 };

static int fail(const char *where, const struct yaml_node *n, struct err *e, const char *what)
{
	return err_set(e, "%s line %zu: %s%s%s", where, n->line, n->key ? n->key : "", n->key ? ": " : "", what);
}

static int read_verdict(const struct yaml_node *n, const char *where, enum guard_verdict *out, struct err *e)
{
	for (int v = 0; v < GUARD_VERDICTS; v++)
		if (n->kind == YAML_TEXT && !strcmp(n->text, guard_verdict_names[v])) {
			*out = (enum guard_verdict)v;
			return 0;
		}
	return fail(where, n, e, "a verdict is allow, flag, redact or refuse");
}

static int read_near(struct rule *r, const struct yaml_node *n, const char *where, struct err *e)
{
	r->n_near = 0;
	if (n->kind != YAML_LIST)
		return fail(where, n, e, "a list of words was wanted");
	for (const struct yaml_node *w = n->first; w; w = w->next) {
		if (w->kind != YAML_TEXT || !w->text[0] || r->n_near == NEAR_MOST)
			return fail(where, w, e, "words were wanted, 16 at most");
		r->near[r->n_near++] = w->text;
	}
	return 0;
}

static int read_key(struct rule *r, const struct yaml_node *n, const char *where, struct err *e)
{
	bool folded = !strcmp(n->key, "folded");

	if (!strcmp(n->key, "verdict"))
		return read_verdict(n, where, &r->verdict, e);
	if (!strcmp(n->key, "near"))
		return read_near(r, n, where, e);
	if (n->kind != YAML_TEXT)
		return fail(where, n, e, "a text was wanted");
	if (folded || !strcmp(n->key, "clean")) {
		r->pattern = n->text;
		r->folded = folded;
		r->line = n->line;
		r->where = where;
		return 0;
	}
	if (!strcmp(n->key, "check"))
		return (r->check = check_find(n->text)) ? 0 : fail(where, n, e, "there is no such check");
	if (!strcmp(n->key, "where")) {
		r->hidden = !strcmp(n->text, "hidden");
		return r->hidden || !strcmp(n->text, "anywhere") ? 0 :
		                                                   fail(where, n, e, "hidden or anywhere was wanted");
	}
	return !strcmp(n->key, "id") || !strcmp(n->key, "source") ? 0 : fail(where, n, e, "no rule has this key");
}

static struct rule *rule_of_id(struct guard *g, const char *id)
{
	for (size_t i = 0; i < g->n; i++)
		if (!strcmp(g->rules[i].id, id))
			return &g->rules[i];
	if (g->n == g->cap) {
		g->cap = MAX((size_t)128, 2 * g->cap);
		g->rules = mem_grow(g->rules, g->cap, sizeof(*g->rules));
	}
	g->rules[g->n] = (struct rule){ .id = id, .verdict = GUARD_FLAG };
	return &g->rules[g->n++];
}

static bool is_id(const char *s)
{
	for (; *s; s++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-.", *s))
			return false;
	return true;
}

static int read_rule(struct guard *g, const struct yaml_node *n, const char *where, struct err *e)
{
	const char *id = NULL;

	for (const struct yaml_node *k = n->kind == YAML_MAP ? n->first : NULL; k; k = k->next)
		if (!strcmp(k->key, "id") && k->kind == YAML_TEXT)
			id = k->text;
	if (!id || !strchr(id, '.') || !is_id(id))
		return fail(where, n, e, "a rule has an id, kind.name in small letters, digits and dashes");
	if (g->n >= RULES_MOST)
		return fail(where, n, e, "these are more than 1000 rules");
	struct rule *r = rule_of_id(g, id);
	for (const struct yaml_node *k = n->first; k; k = k->next)
		if (read_key(r, k, where, e) < 0)
			return -1;
	return r->pattern ? 0 : fail(where, n, e, "an expression was wanted, as `folded` or `clean`");
}

static int read_signs(struct guard *g, const struct yaml_node *n, const char *where, struct err *e)
{
	if (n->kind != YAML_MAP)
		return fail(where, n, e, "signs with their verdicts were wanted");
	for (const struct yaml_node *k = n->first; k; k = k->next) {
		int i = 0;
		while (i < SIGNS && strcmp(k->key, sign_names[i]))
			i++;
		if (i == SIGNS)
			return fail(where, k, e, "there is no such sign");
		if (read_verdict(k, where, &g->signs[i], e) < 0)
			return -1;
	}
	return 0;
}

static int read_file(struct guard *g, const struct yaml_node *root, const char *where, struct err *e)
{
	if (root->kind != YAML_MAP)
		return fail(where, root, e, "a mapping with `rules` was wanted");
	for (const struct yaml_node *k = root->first; k; k = k->next) {
		int status = 0;
		if (!strcmp(k->key, "encoded"))
			status = read_verdict(k, where, &g->encoded, e);
		else if (!strcmp(k->key, "signs"))
			status = read_signs(g, k, where, e);
		else if (!strcmp(k->key, "rules") && k->kind == YAML_LIST)
			for (const struct yaml_node *r = k->first; r && status == 0; r = r->next)
				status = read_rule(g, r, where, e);
		else if (strcmp(k->key, "builtin") != 0)
			status = fail(where, k, e,
			              "no file of rules has this; encoded, signs, builtin and a list of "
			              "rules are");
		if (status)
			return -1;
	}
	return 0;
}

static void name_others(struct guard *g)
{
	size_t n = 0;

	while (encoding_table[n])
		n++;
	g->encoding_rule = arena_array(&g->mem, n + 1, sizeof(*g->encoding_rule));
	for (size_t i = 0; i < n; i++)
		g->encoding_rule[i] = arena_printf(&g->mem, "encoding.%s", encoding_table[i]->name);
	for (int k = 0; k < SIGNS; k++)
		g->sign_rule[k] = arena_printf(&g->mem, "sign.%s", sign_names[k]);
}

static int compile(struct guard *g, struct err *e)
{
	for (int k = 0; k < RULE_SETS; k++) {
		g->set[k] = regex_set_new();
		g->rule_of[k] = mem_array(g->n + 1, sizeof(*g->rule_of[k]));
	}
	for (size_t i = 0; i < g->n; i++) {
		const struct rule *r = &g->rules[i];
		int k = (r->folded ? RULES_FOLDED : RULES_CLEAN) + (r->hidden ? RULES_HIDDEN_FOLDED : 0), number;
		if (r->verdict == GUARD_ALLOW)
			continue;
		if ((number = regex_set_add(g->set[k], r->pattern, e)) < 0)
			return err_prefix(e, "%s line %zu: %s", r->where, r->line, r->id);
		if (r->n_near)
			regex_set_beside(g->set[k], number, r->near, r->n_near);
		g->rule_of[k][number] = i;
		g->n_set[k]++;
	}
	return 0;
}

/* Do they begin from nothing? */
static bool is_alone(const struct yaml_node *root)
{
	for (const struct yaml_node *k = root->kind == YAML_MAP ? root->first : NULL; k; k = k->next)
		if (!strcmp(k->key, "builtin") && k->kind == YAML_TEXT && !strcmp(k->text, "false"))
			return true;
	return false;
}

/* text: over the built-in ones, or NULL. */
static int open_all(struct guard *g, const char *text, size_t n, const char *name, struct err *e)
{
	static const char own[] = "the built-in guard.yaml";
	struct yaml_node *asked = text ? yaml_tree(&g->mem, text, n, name, e) : NULL;
	int status = text && !asked ? -1 : 0;

	if (status == 0 && !(asked && is_alone(asked))) {
		const struct yaml_node *root = yaml_tree(&g->mem, guard_builtin, strlen(guard_builtin), own, e);
		status = root ? read_file(g, root, own, e) : -1;
	}
	if (status == 0 && asked)
		status = read_file(g, asked, arena_strdup(&g->mem, name), e);
	name_others(g);
	return status == 0 ? compile(g, e) : -1;
}

int guard_open_text(struct guard **g, const char *text, size_t n, const char *name, struct err *e)
{
	*g = mem_alloc(sizeof(**g));
	if (open_all(*g, text, n, name, e) == 0)
		return 0;
	guard_close(*g);
	*g = NULL;
	return -1;
}

int guard_open(struct guard **g, const char *file, struct err *e)
{
	struct buf text = BUF_INIT;
	bool asked = file && strcmp(file, "builtin") != 0;

	*g = NULL;
	int status = asked ? io_read(&text, file, e) : 0;
	if (status == 0)
		status = guard_open_text(g, asked ? buf_str(&text) : NULL, text.len, file, e);
	buf_release(&text);
	return status;
}

size_t guard_rules(const struct guard *g)
{
	size_t n = 0;

	for (int k = 0; k < RULE_SETS; k++)
		n += g->n_set[k];
	return n;
}

void guard_close(struct guard *g)
{
	if (!g)
		return;
	for (int k = 0; k < RULE_SETS; k++) {
		regex_set_free(g->set[k]);
		mem_free(g->rule_of[k]);
	}
	mem_free(g->rules);
	arena_release(&g->mem);
	mem_free(g);
}
