/* main: finds the command, nothing else. */
#include "cmd/command.h"

int main(int argc, char **argv)
{
	return command_main(argc, argv);
}
