/* env: the only place that reads the environment. */
#ifndef BASE_ENV_H
#define BASE_ENV_H

const char *env_get(const char *name); /* NULL when unset or empty */
/* Where what is kept between runs lies: ${XDG_STATE_HOME:-~/.local/state}/kungfu/NAME; a relative XDG_STATE_HOME does
 * not count, as its specification has it. mem_free; NULL when neither it nor HOME is set. */
char *env_state_file(const char *name);

#endif
