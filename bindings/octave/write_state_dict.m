% write_state_dict (file, lstm): weights for carousel.Network.load_weights, in the layout of PyTorch's LSTM.
%
% `lstm` has the fields weight_ih_l0 (4*H x I), weight_hh_l0 (4*H x H), bias_ih_l0 (4*H), bias_hh_l0 (4*H), rows
% in the order of the gates input, forget, cell, output. Octave writes its arrays column-major, so matrices are
% transposed first and arrive row-major; `-struct` makes every field a variable of the file. Octave wraps each
% variable in a group of "type" and "value", which Carousel knows.
function write_state_dict (file, lstm)
  for [value, name] = lstm
    if isvector (value)
      lstm.(name) = value(:);
    else
      lstm.(name) = value.';
    end
  end
  save ("-hdf5", file, "-struct", "lstm");
end
