/** What a libvirt guest takes over from a Godwit one. All paths are the same on both hosts. */
export type PeerGuest = {
  readonly name: string;
  readonly uuid: string;
  readonly ramMib: number;
  readonly vcpus: number;
  readonly machineType: string;
  readonly cpuModel: string;
  readonly accelerator: 'tcg' | 'kvm';
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
  readonly disk: string;
  readonly backing: string;
  readonly mac: string;
  readonly bridge: string;
  readonly tap: string;
};

/** A domain of the same devices, caches and timers as Godwit's command line has (packages/agent/src/qemu/command-line.ts), as far as libvirt has words for them. */
export const domainXml = (guest: PeerGuest): string => `<domain type='${guest.accelerator === 'tcg' ? 'qemu' : 'kvm'}'>
  <name>${guest.name}</name>
  <uuid>${guest.uuid}</uuid>
  <memory unit='MiB'>${guest.ramMib}</memory>
  <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
  <vcpu>${guest.vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='${guest.machineType}'>hvm</type>
    <kernel>${guest.kernel}</kernel>
    <initrd>${guest.initrd}</initrd>
    <cmdline>${guest.commandLine}</cmdline>
  </os>
  <features><acpi/><apic/>${guest.accelerator === 'tcg' ? "<tcg><tb-cache unit='MiB'>16</tb-cache></tcg>" : ''}</features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>${guest.cpuModel}</model></cpu>
  <clock offset='utc'><timer name='hpet' present='no'/></clock>
  <on_poweroff>destroy</on_poweroff>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none' io='threads' discard='unmap' detect_zeroes='unmap'/>
      <source file='${guest.disk}'/>
      <backingStore type='file'><format type='qcow2'/><source file='${guest.backing}'/><backingStore/></backingStore>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='bridge'>
      <mac address='${guest.mac}'/>
      <source bridge='${guest.bridge}'/>
      <target dev='${guest.tap}'/>
      <model type='virtio'/>
      <driver name='qemu'/>
      <rom enabled='no'/>
    </interface>
    <serial type='pty'/>
    <console type='pty'/>
    <memballoon model='virtio'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <panic model='isa'/>
    <controller type='usb' model='none'/>
  </devices>
</domain>
`;
