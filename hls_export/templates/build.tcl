# Synthesis with vitis_hls (up to 2024.1): vitis_hls -f build.tcl
open_project -reset vitis
set_top tailor_top
add_files tailor_top.cpp -cflags "-std=c++14"
add_files -tb testbench.cpp -cflags "-std=c++14"
add_files -tb tb_data
open_solution -reset solution -flow_target vivado
set_part {$part}
create_clock -period $clock_ns -name default
csynth_design
export_design -format ip_catalog
exit
