# Synthesis with vitis_hls (up to 2024.1): vitis_hls -f build.tcl
# DO_CSIM=1 in the environment runs the C simulation first, DO_COSIM=1 the C/RTL cosimulation after synthesis; both on COSIM_IMAGES images.
set images [expr {[info exists ::env(COSIM_IMAGES)] ? [set ::env(COSIM_IMAGES)] : 4}]
open_project -reset vitis
set_top tailor_top
add_files tailor_top.cpp -cflags "-std=c++14"
add_files -tb testbench.cpp -cflags "-std=c++14"
add_files -tb tb_data
open_solution -reset solution -flow_target vivado
set_part {$part}
create_clock -period $clock_ns -name default
if {[info exists ::env(DO_CSIM)]} { csim_design -argv "--images=[set images]" }
csynth_design
if {[info exists ::env(DO_COSIM)]} { cosim_design -argv "--images=[set images]" }
export_design -format ip_catalog
exit
