// Runs the clock until all benches are done.
#include "Vtop.h"
#include "verilated.h"

int main(int count, char** arguments) {
    VerilatedContext context;
    context.commandArgs(count, arguments);
    Vtop top{&context};
    top.clk = 0;
    top.eval();
    while (!top.done) {
        top.clk = !top.clk;
        top.eval();
    }
    top.final();
    return 0;
}
