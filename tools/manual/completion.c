/* completion: scripts for bash, zsh and fish: commands, options, and for values files, folders, models or the choices. */
#include <stdio.h>
#include <string.h>

#include "manual.h"

static void put_choices(const char *choices)
{
	for (; *choices; choices++)
		putchar(*choices == '|' ? ' ' : *choices);
}

static const char *dashes(const char *name) { return name[1] ? "--" : "-"; }

/* A shell function's name. */
static void put_identifier(const char *name)
{
	for (; *name; name++)
		putchar(*name == ' ' || *name == '-' ? '_' : *name);
}

/* Every first word once. */
static void put_first_words(void)
{
	const struct command *all[64];
	size_t n = command_list(all);
	for (size_t i = 0; i < n; i++) {
		size_t size = strcspn(all[i]->name, " ");
		bool seen = false;
		for (size_t j = 0; j < i; j++)
			seen |= strcspn(all[j]->name, " ") == size && !strncmp(all[j]->name, all[i]->name, size);
		if (!seen)
			printf("%.*s ", (int)size, all[i]->name);
	}
}

/* The commands of one word that have a plan, between two brackets or none. */
static const char *planned_words(const char *begin, const char *end)
{
	static char words[512];
	const struct command *all[64];
	size_t n = command_list(all), at = (size_t)snprintf(words, sizeof(words), "%s", begin);

	for (size_t i = 0; i < n; i++)
		if (all[i]->plans && !strchr(all[i]->name, ' '))
			at += (size_t)snprintf(words + at, sizeof(words) - at, "%s ", all[i]->name);
	snprintf(words + at, sizeof(words) - at, "%s", end);
	return words;
}

/* --- bash --- */

static const char *bash_kind(enum value v)
{
	static const char *const names[] = { [VALUE_NONE] = "none", [VALUE_ANY] = "any", [VALUE_CHOICE] = "words", [VALUE_FILE] = "file",
	                                     [VALUE_DIR] = "dir", [VALUE_MODEL] = "model", [VALUE_RECIPE] = "recipe", [VALUE_COMMAND] = "command" };
	return names[v];
}

static void bash_names(const struct opt *o)
{
	for (; o->type != OPT_TYPE_END; o++) {
		if (o->type == OPT_TYPE_GROUP)
			continue;
		printf("%s%s ", dashes(o->name), o->name);
		if (o->alias)
			printf("%s%s ", dashes(o->alias), o->alias);
	}
}

static void bash_values(const struct opt *o)
{
	for (; o->type != OPT_TYPE_END; o++) {
		if (o->type == OPT_TYPE_GROUP || o->type == OPT_TYPE_FLAG)
			continue;
		printf("\t\t%s%s", dashes(o->name), o->name);
		if (o->alias)
			printf("|%s%s", dashes(o->alias), o->alias);
		printf(") kind=%s", bash_kind(value_of(o)));
		if (o->type == OPT_TYPE_CHOICE) {
			printf(" words='");
			put_choices(o->choices);
			printf("'");
		}
		printf(" ;;\n");
	}
}

static const char bash_end[] =
	"_kungfu_files() { # GLOB-of-names, or nothing for all\n"
	"	local name IFS=$'\\n'\n"
	"	for name in $(compgen -f -- \"$cur\"); do\n"
	"		if [ -d \"$name\" ]; then COMPREPLY+=(\"$name\")\n"
	"		elif [ -z \"$1\" ] || [[ $name == $1 ]]; then COMPREPLY+=(\"$name\")\n"
	"		fi\n"
	"	done\n"
	"	compopt -o filenames 2>/dev/null\n"
	"}\n"
	"_kungfu_offer() { # KIND\n"
	"	case $1 in\n"
	"	words) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
	"	command) COMPREPLY=($(compgen -W \"$_kungfu_planned\" -- \"$cur\")) ;;\n"
	"	file) _kungfu_files ;;\n"
	"	dir) local IFS=$'\\n'; COMPREPLY=($(compgen -d -- \"$cur\")); compopt -o filenames 2>/dev/null ;;\n"
	"	model) shopt -q extglob || shopt -s extglob; _kungfu_files '*.gguf' ;;\n"
	"	recipe) shopt -q extglob || shopt -s extglob; _kungfu_files '*.@(gguf|yaml|yml)' ;;\n"
	"	esac\n"
	"}\n"
	"_kungfu() {\n"
	"	if [ \"${COMP_WORDS[1]}\" = plan ] && [ \"$COMP_CWORD\" -gt 2 ] && [[ ${COMP_WORDS[2]} != -* ]]; then # as the planned command's\n"
	"		local -a planned=(kungfu \"${COMP_WORDS[@]:2}\")\n"
	"		local COMP_CWORD=$((COMP_CWORD - 1)) COMP_WORDS=(\"${planned[@]}\")\n"
	"	fi\n"
	"	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} first=2 names='' positional='' kind=none words='' command i at=0\n"
	"	COMPREPLY=()\n"
	"	if [ \"$COMP_CWORD\" = 1 ]; then\n"
	"		COMPREPLY=($(compgen -W \"$_kungfu_commands --help --version help\" -- \"$cur\"))\n"
	"		return\n"
	"	fi\n"
	"	command=${COMP_WORDS[1]}\n"
	"	[ \"$cur\" != = ] || cur=''\n"
	"	if [ \"$prev\" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}\n"
	"	elif [ \"${COMP_WORDS[COMP_CWORD]}\" = = ]; then :\n"
	"	fi\n"
	"	if [ \"$command\" = help ]; then\n"
	"		COMPREPLY=($(compgen -W \"$_kungfu_commands\" -- \"$cur\"))\n"
	"		return\n"
	"	fi\n"
	"	_kungfu_load \"$prev\" \"$command\" \"${COMP_WORDS[2]}\" || { # the first of two words\n"
	"		[ \"$COMP_CWORD\" != 2 ] || COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	"		return\n"
	"	}\n"
	"	if [ \"$kind\" != none ]; then _kungfu_offer \"$kind\"; return; fi\n"
	"	case $cur in\n"
	"	-*) COMPREPLY=($(compgen -W \"$names\" -- \"$cur\")); return ;;\n"
	"	esac\n"
	"	for ((i = first; i < COMP_CWORD; i++)); do # the words before that are no options and no values\n"
	"		case ${COMP_WORDS[i]} in\n"
	"		-*|=) continue ;;\n"
	"		esac\n"
	"		_kungfu_load \"${COMP_WORDS[i-1]}\" \"$command\" \"${COMP_WORDS[2]}\"\n"
	"		[ \"${COMP_WORDS[i-1]}\" = = ] || [ \"$kind\" != none ] || at=$((at + 1))\n"
	"	done\n"
	"	set -- $positional\n"
	"	[ $# = 0 ] && return\n"
	"	[ \"$at\" -lt $# ] || case $positional in *dir) at=$(($# - 1)) ;; *) return ;; esac\n"
	"	shift \"$at\"\n"
	"	_kungfu_offer \"$1\"\n"
	"}\n"
	"complete -F _kungfu kungfu\n";

/* The second words of a group, for who has typed the first alone. */
static void bash_load(void)
{
	const struct command *all[64];
	size_t n = command_list(all);

	printf("_kungfu_load() { # PREVIOUS-WORD COMMAND SECOND-WORD: sets first, names, positional, kind, words\n\tcase \"$2 $3\" in\n");
	for (size_t i = 0; i < n; i++)
		if (strchr(all[i]->name, ' ')) {
			printf("\t'%s') _kungfu_of_", all[i]->name);
			put_identifier(all[i]->name);
			printf(" \"$1\"; return 0 ;;\n");
		}
	printf("\tesac\n\tcase $2 in\n");
	for (size_t i = 0; i < n; i++)
		if (!strchr(all[i]->name, ' ')) {
			printf("\t%s) _kungfu_of_", all[i]->name);
			put_identifier(all[i]->name);
			printf(" \"$1\"; return 0 ;;\n");
		}
	for (size_t i = 0; i < n; i++) {
		const char *two = strchr(all[i]->name, ' ');
		if (two)
			printf("\t%.*s) words=\"$words %s\" ;;&\n", (int)(two - all[i]->name), all[i]->name, two + 1);
	}
	printf("\tesac\n\treturn 1\n}\n");
}

void bash_print(void)
{
	const struct command *all[64];
	size_t n = command_list(all);

	printf("# bash completion for kungfu, made from its tables of options\n_kungfu_commands='");
	put_first_words();
	printf("'\n_kungfu_planned='%s'\n", planned_words("", ""));
	for (size_t i = 0; i < n; i++) {
		enum value v[8];
		size_t n_words = positionals(all[i], v);
		printf("_kungfu_of_");
		put_identifier(all[i]->name);
		printf("() {\n\tfirst=%d kind=none names='", strchr(all[i]->name, ' ') ? 3 : 2);
		bash_names(options_of(all[i]));
		printf("' positional='");
		for (size_t j = 0; j < n_words; j++)
			printf("%s%s", j ? " " : "", bash_kind(v[j]));
		printf("'\n\tcase $1 in\n");
		bash_values(options_of(all[i]));
		printf("\tesac\n}\n");
	}
	bash_load();
	fputs(bash_end, stdout);
}

/* --- zsh --- */

static const char *zsh_action(enum value v)
{
	switch (v) {
	case VALUE_FILE: return "_files";
	case VALUE_DIR: return "_files -/";
	case VALUE_MODEL: return "_files -g \"*.gguf(-.)\"";
	case VALUE_RECIPE: return "_files -g \"*.(gguf|yaml|yml)(-.)\"";
	case VALUE_COMMAND: return planned_words("(", ")");
	default: return " ";
	}
}

/* Inside of single quotes and of _arguments' brackets. */
static void zsh_text(const char *text)
{
	for (; *text; text++)
		if (*text == '\'')
			printf("'\\''");
		else if (strchr("[]:\\", *text))
			printf("\\%c", *text);
		else
			putchar(*text);
}

static void zsh_name(const struct opt *o, const char *name)
{
	printf("\t\t'%s%s%s%s[", o->type == OPT_TYPE_LIST ? "*" : "", dashes(name), name, o->type == OPT_TYPE_FLAG ? "" : name[1] ? "=" : "+");
	zsh_text(o->help);
	printf("]");
	if (o->type == OPT_TYPE_CHOICE) {
		printf(":value:(");
		put_choices(o->choices);
		printf(")");
	} else if (o->type != OPT_TYPE_FLAG) {
		printf(":");
		zsh_text(o->arg ? o->arg : "value");
		printf(":%s", zsh_action(value_of(o)));
	}
	printf("' \\\n");
}

static void zsh_command(const struct command *c)
{
	enum value v[8];
	size_t n = positionals(c, v);

	printf("_kungfu_");
	put_identifier(c->name);
	printf("() {\n\t_arguments -s \\\n");
	for (const struct opt *o = options_of(c); o->type != OPT_TYPE_END; o++) {
		if (o->type == OPT_TYPE_GROUP)
			continue;
		zsh_name(o, o->name);
		if (o->alias)
			zsh_name(o, o->alias);
	}
	for (size_t i = 0; i < n; i++)
		printf("\t\t'%s:word:%s' \\\n", i + 1 == n && v[i] == VALUE_DIR ? "*" : "", zsh_action(v[i]));
	printf("\t\t&& return 0\n}\n");
}

void zsh_print(void)
{
	const struct command *all[64];
	size_t n = command_list(all);

	printf("#compdef kungfu\n# zsh completion for kungfu, made from its tables of options\n");
	for (size_t i = 0; i < n; i++)
		zsh_command(all[i]);
	printf("_kungfu() {\n\tlocal -a commands\n\tcommands=(");
	put_first_words();
	printf(")\n\tif (( CURRENT == 2 )); then\n\t\t_describe command commands\n\t\treturn\n\tfi\n"
	       "\tif [[ $words[2] == plan && $words[3] != -* ]] && (( CURRENT > 3 )); then # as the planned command's\n"
	       "\t\tshift 1 words; words[1]=kungfu; (( CURRENT -= 1 ))\n\tfi\n"
	       "\tcase \"$words[2] $words[3]\" in\n");
	for (size_t i = 0; i < n; i++)
		if (strchr(all[i]->name, ' ')) {
			printf("\t\t'%s') (( CURRENT > 3 )) && { shift 2 words; (( CURRENT -= 2 )); _kungfu_", all[i]->name);
			put_identifier(all[i]->name);
			printf("; return } ;;\n");
		}
	printf("\tesac\n\tcase $words[2] in\n");
	for (size_t i = 0; i < n; i++)
		if (!strchr(all[i]->name, ' ')) {
			printf("\t\t%s) shift words; (( CURRENT -= 1 )); _kungfu_", all[i]->name);
			put_identifier(all[i]->name);
			printf("; return ;;\n");
		}
	printf("\tesac\n\tlocal -a second\n");
	for (size_t i = 0; i < n; i++) {
		const char *two = strchr(all[i]->name, ' ');
		if (two)
			printf("\t[[ $words[2] == %.*s ]] && second+=(%s)\n", (int)(two - all[i]->name), all[i]->name, two + 1);
	}
	printf("\t(( CURRENT == 3 && $#second )) && _describe command second\n}\n"
	       "if [ \"$funcstack[1]\" = _kungfu ]; then _kungfu \"$@\"; else compdef _kungfu kungfu; fi\n");
}

/* --- fish --- */

static void fish_text(const char *text)
{
	putchar('\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('\'');
}

static void fish_value(enum value v, const char *choices)
{
	switch (v) {
	case VALUE_NONE: return;
	case VALUE_CHOICE:
		printf(" -x -a '");
		put_choices(choices);
		printf("'");
		return;
	case VALUE_FILE: printf(" -r -F"); return;
	case VALUE_DIR: printf(" -x -a '(__fish_complete_directories)'"); return;
	case VALUE_MODEL:
	case VALUE_RECIPE: printf(" -x -a '(__kungfu_models)'"); return;
	case VALUE_COMMAND: printf(" -x -a '%s'", planned_words("", "")); return;
	default: printf(" -x");
	}
}

static void fish_names(const struct command *c)
{
	for (const struct opt *o = options_of(c); o->type != OPT_TYPE_END; o++) {
		if (o->type == OPT_TYPE_GROUP)
			continue;
		printf("complete -c kungfu -n '__kungfu_is %s' -l %s", c->name, o->name);
		if (o->alias)
			printf(" -%c %s", o->alias[1] ? 'l' : 's', o->alias);
		fish_value(value_of(o), o->choices);
		printf(" -d ");
		fish_text(o->help);
		printf("\n");
	}
}

static void fish_words(const struct command *c)
{
	enum value v[8];
	size_t n = positionals(c, v);
	for (size_t i = 0; i < n; i++) {
		printf("complete -c kungfu -n '__kungfu_is %s'", c->name);
		if (v[i] == VALUE_FILE)
			printf(" -F");
		else if (v[i] != VALUE_ANY) {
			printf(" -a '%s'", v[i] == VALUE_DIR ? "(__fish_complete_directories)" : v[i] == VALUE_COMMAND ? planned_words("", "") : "(__kungfu_models)");
		}
		printf("\n");
	}
}

void fish_print(void)
{
	const struct command *all[64];
	size_t n = command_list(all);

	printf("# fish completion for kungfu, made from its tables of options\n"
	       "function __kungfu_is\n\tset -l words (commandline -opc)[2..-1]\n\tset -l n (count $argv)\n"
	       "\tif test (count $words) -gt 1; and test \"$words[1]\" = plan; and not string match -q -- '-*' $words[2]\n"
	       "\t\tset words $words[2..-1] # as the planned command's\n\tend\n"
	       "\ttest (count $words) -ge $n; and test \"$words[1..$n]\" = \"$argv\"\nend\n"
	       "function __kungfu_models\n\tset -l word (commandline -ct)\n\tfor name in $word*.gguf $word*.yaml $word*/\n\t\techo $name\n\tend\nend\n"
	       "function __kungfu_first\n\ttest (count (commandline -opc)) -eq 1\nend\n"
	       "function __kungfu_second\n\tset -l words (commandline -opc)\n\ttest (count $words) -eq 2; and test \"$words[2]\" = \"$argv\"\nend\n"
	       "complete -c kungfu -f\n");
	for (size_t i = 0; i < n; i++) {
		const char *two = strchr(all[i]->name, ' ');
		if (two)
			printf("complete -c kungfu -n '__kungfu_second %.*s' -a %s -d ", (int)(two - all[i]->name), all[i]->name, two + 1);
		else
			printf("complete -c kungfu -n __kungfu_first -a %s -d ", all[i]->name);
		fish_text(all[i]->summary);
		printf("\n");
		if (two)
			printf("complete -c kungfu -n __kungfu_first -a %.*s\n", (int)(two - all[i]->name), all[i]->name);
		fish_names(all[i]);
		fish_words(all[i]);
	}
}
