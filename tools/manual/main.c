/* main: what the option tables say, as man pages and completions ask for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manual.h"

static enum value value_named(const char *word, size_t n)
{
	static const struct { const char *begin; enum value value; } kinds[] = {
		{ "MODEL", VALUE_MODEL }, { "FILE", VALUE_FILE }, { "DIR", VALUE_DIR }, { "RUN", VALUE_DIR }, { "ADAPTER", VALUE_DIR }, { "COMMAND", VALUE_COMMAND },
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (n >= strlen(kinds[i].begin) && !strncmp(word, kinds[i].begin, strlen(kinds[i].begin)))
			return kinds[i].value;
	return VALUE_ANY;
}

enum value value_of(const struct opt *o)
{
	if (o->type == OPT_TYPE_FLAG)
		return VALUE_NONE;
	if (o->type == OPT_TYPE_CHOICE)
		return VALUE_CHOICE;
	return o->arg ? value_named(o->arg, strlen(o->arg)) : VALUE_ANY;
}

/* "MODEL FILE|- [--adapter DIR]": what stands before the first option. */
size_t positionals(const struct command *c, enum value out[8])
{
	size_t n = 0;
	for (const char *at = c->usage; *at && *at != '-' && strncmp(at, "[-", 2) != 0 && strncmp(at, "[options", 8) != 0 && n < 8;) {
		const char *word = at + (*at == '[');
		size_t size = strcspn(word, " ]");
		out[n++] = value_named(word, size);
		at = word + size;
		at += strspn(at, "] ");
	}
	if (n && strstr(c->usage, "recipe.yaml"))
		out[0] = VALUE_RECIPE;
	return n;
}

static int by_order(const void *a, const void *b)
{
	const struct command *x = *(const struct command *const *)a, *y = *(const struct command *const *)b;
	return x->order != y->order ? x->order - y->order : strcmp(x->name, y->name);
}

size_t command_list(const struct command *out[64])
{
	size_t n = 0;
	for (; command_table[n] && n < 64; n++)
		out[n] = command_table[n];
	qsort(out, n, sizeof(*out), by_order);
	return n;
}

const struct opt *options_of(const struct command *c)
{
	static struct opt_table joined[64];
	const struct command *const *at = command_table;
	while (*at != c)
		at++;
	struct opt_table *t = &joined[at - command_table];
	if (!t->rows)
		opt_join(t, c->opts);
	return t->rows;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "man"))
		return man_write(argv[2], argv[3]) < 0;
	if (argc == 2 && !strcmp(argv[1], "bash"))
		bash_print();
	else if (argc == 2 && !strcmp(argv[1], "zsh"))
		zsh_print();
	else if (argc == 2 && !strcmp(argv[1], "fish"))
		fish_print();
	else
		return fprintf(stderr, "usage: manual man DIR DATE | bash | zsh | fish\n"), 2;
	return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
